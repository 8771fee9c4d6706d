from __future__ import annotations

import itertools
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from collector.coverage import Covered, Runs, answered_by, missing, with_answer, without
from collector.model import Span
from tests.builders import NOW

SPANS = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
ANSWERS = st.lists(st.tuples(SPANS, st.integers(0, 5)), max_size=8)
STALE = NOW - timedelta(hours=6)


def _runs(answers: list[tuple[Span, int]]) -> Runs:
    runs: Runs = ()
    for span, days_ago in answers:
        runs = with_answer(runs, span, NOW - timedelta(days=days_ago), STALE)
    return runs


@given(ANSWERS, SPANS)
def test_covered_and_missing_make_up_a_span(answers: list[tuple[Span, int]], span: Span) -> None:
    """Each bucket of a span is either covered by some answer or missing, and never both."""
    holes = {bucket for hole in missing(span, _runs(answers)) for bucket in range(hole.first, hole.stop)}
    covered = {bucket for answered, _ in answers for bucket in range(answered.first, answered.stop)}
    assert holes == set(range(span.first, span.stop)) - covered


@given(ANSWERS)
def test_runs_stay_sorted_and_disjoint(answers: list[tuple[Span, int]]) -> None:
    """However answers overlap, the runs are sorted, disjoint and never empty."""
    runs = _runs(answers)
    assert all(len(run.span) > 0 for run in runs)
    assert all(one.span.stop <= other.span.first for one, other in itertools.pairwise(runs))


@given(ANSWERS, SPANS)
def test_a_fresh_answer_is_never_taken_for_stale(answers: list[tuple[Span, int]], span: Span) -> None:
    """Joining runs never makes a bucket that was just answered look older, nor a stale one fresher."""
    runs = _runs([*answers, (span, 0)])
    assert answered_by(span, runs, STALE) == []
    stale = {bucket for part in answered_by(Span(0, 60), runs, STALE) for bucket in range(part.first, part.stop)}
    last = {bucket: ago for answered, ago in [*answers, (span, 0)] for bucket in range(answered.first, answered.stop)}
    assert stale == {bucket for bucket, ago in last.items() if ago > 0}


@given(ANSWERS, SPANS)
def test_what_is_forgotten_is_missing(answers: list[tuple[Span, int]], span: Span) -> None:
    """After a span is forgotten, all of it is missing."""
    assert missing(span, without(_runs(answers), span)) == [span]


def test_runs_do_not_grow_with_the_history() -> None:
    """A year of nights, each with its own instant, leaves as many runs as the lookback has, not one a night."""
    runs: Runs = ()
    for night in range(365):
        now = NOW + timedelta(days=night)
        runs = with_answer(runs, Span(night, night + 15), now, now - timedelta(hours=6))
    assert runs == (Covered(Span(0, 364), NOW), Covered(Span(364, 379), NOW + timedelta(days=364)))
