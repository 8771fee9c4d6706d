from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from collector.coverage import CoveredSpan, CoveredSpans, missing_spans, stale_spans
from collector.lake.coverage_table import NO_COVERAGE, as_coverage, with_answers, without_partition
from collector.lake.schema import SERIES
from collector.model import Scope, Series, Span, Unit
from tests.support.builders import NOW, make_series

SPANS = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
ANSWERS = st.lists(st.tuples(SPANS, st.integers(0, 5)), max_size=8)
STALE = NOW - timedelta(hours=6)
ONE = make_series()
MANY = st.sampled_from(
    [make_series(unit, app, segment) for unit in Unit for app in ("ios", "web") for segment in (None, "vip")]
)
NIGHTS = st.lists(st.lists(st.tuples(MANY, SPANS), min_size=1, max_size=6), max_size=6)


def _answers(answers: list[tuple[Series, Span]]) -> pa.Table:
    """A night's answers, as the journal has them."""
    rows = [
        {
            "scope": series.scope.value,
            "unit": series.unit.value,
            "app": series.app,
            "app_id": series.key.app_id,
            "segment": series.segment,
            "segment_id": series.key.segment_id,
            "first": span.first,
            "stop": span.stop,
        }
        for series, span in answers
    ]
    return pa.Table.from_pylist(rows, schema=NO_COVERAGE.drop_columns("answered_at").schema)


def _table(answers: list[tuple[Span, int]]) -> pa.Table:
    """The runs of one series, answered so many days ago, one after the other."""
    runs = NO_COVERAGE
    for span, days_ago in answers:
        runs = with_answers(runs, _answers([(ONE, span)]), NOW - timedelta(days=days_ago), STALE)
    return runs


def _runs(answers: list[tuple[Span, int]]) -> CoveredSpans:
    return as_coverage(_table(answers)).get(ONE.key, ())


@given(ANSWERS, SPANS)
def test_covered_and_missing_make_up_a_span(answers: list[tuple[Span, int]], span: Span) -> None:
    """Each bucket of a span is either covered by some answer or missing, and never both."""
    holes = {bucket for hole in missing_spans(span, _runs(answers)) for bucket in range(hole.first, hole.stop)}
    covered = {bucket for answered, _ in answers for bucket in range(answered.first, answered.stop)}
    assert holes == set(range(span.first, span.stop)) - covered


@given(ANSWERS, SPANS)
def test_a_fresh_answer_is_never_taken_for_stale(answers: list[tuple[Span, int]], span: Span) -> None:
    """Joining runs never makes a bucket that was just answered look older, nor a stale one fresher."""
    runs = _runs([*answers, (span, 0)])
    assert stale_spans(span, runs, STALE) == []
    stale = {bucket for part in stale_spans(Span(0, 60), runs, STALE) for bucket in range(part.first, part.stop)}
    last = {bucket: ago for answered, ago in [*answers, (span, 0)] for bucket in range(answered.first, answered.stop)}
    assert stale == {bucket for bucket, ago in last.items() if ago > 0}


@given(NIGHTS)
def test_nights_of_many_series_are_what_a_table_of_single_buckets_says(nights: list[list[tuple[Series, Span]]]) -> None:
    """Held against one entry a bucket: all series at once, runs sorted, disjoint, joined where they are alike."""
    runs, told = NO_COVERAGE, dict[tuple[Series, int], datetime]()
    for night, answers in enumerate(nights):
        as_of = NOW + timedelta(hours=3 * night)
        stale = as_of - timedelta(hours=6)
        runs = with_answers(runs, _answers(answers), as_of, stale)
        told |= {(series, bucket): as_of for series, span in answers for bucket in range(span.first, span.stop)}
        coverage = as_coverage(runs)
        assert {series.key for series, _ in told} == set(coverage)
        for series, _ in told:
            _matches(coverage[series.key], {bucket: at for (of, bucket), at in told.items() if of == series}, stale)


def _matches(runs: CoveredSpans, told: dict[int, datetime], stale: datetime) -> None:
    found = {bucket: run.answered_at for run in runs for bucket in range(run.span.first, run.span.stop)}
    assert sum(len(run.span) for run in runs) == len(found)
    assert {bucket: max(at, stale) for bucket, at in found.items()} == {
        bucket: max(at, stale) for bucket, at in told.items()
    }
    assert all(found[bucket] <= at for bucket, at in told.items())
    for one, other in itertools.pairwise(runs):
        assert one.span.stop <= other.span.first
        if one.span.stop == other.span.first:
            assert max(one.answered_at, stale) != max(other.answered_at, stale)


@given(ANSWERS, SPANS)
def test_what_is_forgotten_is_missing_and_nothing_else(answers: list[tuple[Span, int]], span: Span) -> None:
    """After a span is forgotten all of it is missing; the rest, and other units and scopes, are as they were."""
    other = make_series(Unit.HOUR, segment="vip")
    table = with_answers(_table(answers), _answers([(other, Span(0, 50))]), NOW, STALE)
    left = as_coverage(without_partition(table, Scope.APP, Unit.DAY, span))
    assert missing_spans(span, left.get(ONE.key, ())) == [span]
    before = {bucket for run in _runs(answers) for bucket in range(run.span.first, run.span.stop)}
    after = {bucket for run in left.get(ONE.key, ()) for bucket in range(run.span.first, run.span.stop)}
    assert after == before - set(range(span.first, span.stop))
    assert left[other.key] == (CoveredSpan(Span(0, 50), NOW),)


def test_a_series_is_called_what_the_last_answer_called_it() -> None:
    """Ids tell series apart; names follow the config."""
    renamed = Series("acme", ONE.key, "iOS", None)
    runs = with_answers(_table([(Span(0, 5), 3)]), _answers([(renamed, Span(20, 25))]), NOW, STALE)
    assert runs["app"].to_pylist() == ["iOS", "iOS"]
    assert runs.select(SERIES).to_pylist()[0]["app_id"] == ONE.key.app_id


def test_thousands_of_apps_each_with_a_segment_of_its_own() -> None:
    """Twenty thousand of each name more series than 31 bits can number; those that are there are told apart."""
    series = [ONE, *(make_series(Unit.HOUR, f"app{number:05}", f"segment{number:05}") for number in range(20_000))]
    runs = with_answers(NO_COVERAGE, _answers([(each, Span(0, 5)) for each in series]), NOW, STALE)
    runs = with_answers(runs, _answers([(each, Span(5, 7)) for each in reversed(series)]), NOW, STALE)
    assert as_coverage(runs) == {each.key: (CoveredSpan(Span(0, 7), NOW),) for each in series}
    assert runs["app_id"].to_pylist() == [each.key.app_id for each in series]


def test_runs_do_not_grow_with_the_history() -> None:
    """A year of nights, each with its own instant, leaves as many runs as the lookback has, not one a night."""
    runs = NO_COVERAGE
    for night in range(365):
        now = NOW + timedelta(days=night)
        runs = with_answers(runs, _answers([(ONE, Span(night, night + 15))]), now, now - timedelta(hours=6))
    expected = (CoveredSpan(Span(0, 364), NOW), CoveredSpan(Span(364, 379), NOW + timedelta(days=364)))
    assert as_coverage(runs) == {ONE.key: expected}
