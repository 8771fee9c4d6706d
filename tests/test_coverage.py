from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from collector.coverage import CoveredSpan, CoveredSpans, answered_spans, missing_spans, stale_spans
from collector.lake.covered_spans import NO_COVERAGE, CoverageRules, as_coverage, void_partition
from collector.lake.covered_spans import with_answers as with_answers_by_rules
from collector.lake.paths import Partition
from collector.lake.tables import INSTANT, SERIES
from collector.model import Scope, Series, Span, Unit
from tests.support.builders import NOW, make_series

SPANS = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
ANSWERS = st.lists(st.tuples(SPANS, st.integers(0, 5)), max_size=8)
STALE_AT = NOW - timedelta(hours=6)
ONE = make_series()
COLUMNS = pa.schema([*NO_COVERAGE.drop_columns(["answered_at", "settled"]).schema, ("answered_date", INSTANT)])
MANY = st.sampled_from(
    [make_series(unit, app, segment) for unit in Unit for app in ("ios", "web") for segment in (None, "vip")]
)
RUNS = st.lists(st.lists(st.tuples(MANY, SPANS), min_size=1, max_size=6), max_size=6)


def buckets_of(spans: list[Span]) -> set[int]:
    return {bucket for span in spans for bucket in range(span.first, span.stop)}


def journal_answers(answers: list[tuple[Series, Span]]) -> pa.Table:
    """Answers as a journal has them."""
    rows = [
        {
            "metric": series.key.metric,
            "scope": series.scope.value,
            "unit": series.unit.value,
            "app": series.app,
            "app_id": series.key.app_id,
            "segment": series.segment,
            "segment_id": series.key.segment_id,
            "event": series.key.event,
            "first": span.first,
            "stop": span.stop,
        }
        for series, span in answers
    ]
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def with_answers(table: pa.Table, answers: pa.Table, as_of: datetime, stale_at: datetime) -> pa.Table:
    """The table with answers, where nothing is ever settled."""
    rules = CoverageRules(as_of - stale_at, timedelta(), dict.fromkeys(Unit, 10**6), as_of)
    return with_answers_by_rules(table, answers, as_of, rules, ZoneInfo("UTC"))


def cover_one(answers: list[tuple[Span, int]]) -> pa.Table:
    """The coverage table of one series, after answers of some days ago, one after the other."""
    table = NO_COVERAGE
    for span, days_ago in answers:
        table = with_answers(table, journal_answers([(ONE, span)]), NOW - timedelta(days=days_ago), STALE_AT)
    return table


def covered_spans(answers: list[tuple[Span, int]]) -> CoveredSpans:
    return as_coverage(cover_one(answers)).get(ONE.key, ())


@given(ANSWERS, SPANS)
def test_covered_and_missing_buckets_make_up_a_span(answers: list[tuple[Span, int]], span: Span) -> None:
    """Each bucket of a span is either covered by some answer or missing, and never both."""
    missing = buckets_of(missing_spans(span, covered_spans(answers)))
    assert missing == buckets_of([span]) - buckets_of([answered for answered, _ in answers])


@given(ANSWERS, SPANS)
def test_a_fresh_answer_is_never_stale(answers: list[tuple[Span, int]], span: Span) -> None:
    """Joining spans never makes a bucket that was just answered look older, nor a stale one fresher."""
    covered = covered_spans([*answers, (span, 0)])
    assert stale_spans(span, span, covered, STALE_AT) == []
    last = {bucket: ago for answered, ago in [*answers, (span, 0)] for bucket in range(answered.first, answered.stop)}
    stale = buckets_of(stale_spans(Span(0, 60), Span(0, 60), covered, STALE_AT))
    assert stale == {bucket for bucket, ago in last.items() if ago > 0}


@given(RUNS)
def test_bulk_coverage_equals_one_entry_for_each_bucket(runs: list[list[tuple[Series, Span]]]) -> None:
    """All series at once: spans are sorted, disjoint, and joined where their answers are alike."""
    table, expected = NO_COVERAGE, dict[tuple[Series, int], datetime]()
    for number, answers in enumerate(runs):
        as_of = NOW + timedelta(hours=3 * number)
        stale_at = as_of - timedelta(hours=6)
        table = with_answers(table, journal_answers(answers), as_of, stale_at)
        expected |= {(series, bucket): as_of for series, span in answers for bucket in range(span.first, span.stop)}
        coverage = as_coverage(table)
        assert {series.key for series, _ in expected} == set(coverage)
        for series, _ in expected:
            of_series = {bucket: at for (of, bucket), at in expected.items() if of == series}
            check(coverage[series.key], of_series, stale_at)


def check(covered: CoveredSpans, expected: dict[int, datetime], stale_at: datetime) -> None:
    """The covered spans say what `expected` says of each bucket; of stale answers, no more than that they are stale."""
    found = {
        bucket: each.answered_at or stale_at for each in covered for bucket in range(each.span.first, each.span.stop)
    }
    assert sum(len(each.span) for each in covered) == len(found)
    assert {bucket: max(at, stale_at) for bucket, at in found.items()} == {
        bucket: max(at, stale_at) for bucket, at in expected.items()
    }
    assert all(found[bucket] <= at for bucket, at in expected.items())
    for one, other in itertools.pairwise(covered):
        assert one.span.stop <= other.span.first
        if one.span.stop == other.span.first:
            assert max(one.answered_at or stale_at, stale_at) != max(other.answered_at or stale_at, stale_at)


@given(ANSWERS, SPANS)
def test_voided_buckets_are_missing_and_no_others(answers: list[tuple[Span, int]], span: Span) -> None:
    """After a span is voided all of it is missing; the rest, and other units and scopes, are as they were."""
    other = make_series(Unit.HOUR, segment="vip")
    table = with_answers(cover_one(answers), journal_answers([(other, Span(0, 50))]), NOW, STALE_AT)
    left = as_coverage(void_partition(table, Partition("acme", "sessions", Scope.APP, Unit.DAY, NOW.date()), span))
    answered = answered_spans(left.get(ONE.key, ()))
    assert missing_spans(span, answered) == [span]
    before = buckets_of([each.span for each in covered_spans(answers)])
    assert buckets_of([each.span for each in answered]) == before - buckets_of([span])
    assert buckets_of([each.span for each in left.get(ONE.key, ())]) == before, "what was voided stays wanted"
    assert left[other.key] == (CoveredSpan(Span(0, 50), NOW, settled=False),)


def test_a_series_has_the_names_of_its_newest_answer() -> None:
    """Ids identify a series; its names follow the config."""
    renamed = Series("acme", ONE.key, "iOS", None)
    table = with_answers(cover_one([(Span(0, 5), 3)]), journal_answers([(renamed, Span(20, 25))]), NOW, STALE_AT)
    assert table["app"].to_pylist() == ["iOS", "iOS"]
    assert table.select(SERIES).to_pylist()[0]["app_id"] == ONE.key.app_id


def test_thousands_of_apps_each_with_a_segment_of_its_own() -> None:
    """Twenty thousand of each could name more series than 31 bits can number; those that exist stay distinct."""
    series = [ONE, *(make_series(Unit.HOUR, f"app{number:05}", f"segment{number:05}") for number in range(20_000))]
    table = with_answers(NO_COVERAGE, journal_answers([(each, Span(0, 5)) for each in series]), NOW, STALE_AT)
    table = with_answers(table, journal_answers([(each, Span(5, 7)) for each in reversed(series)]), NOW, STALE_AT)
    assert as_coverage(table) == {each.key: (CoveredSpan(Span(0, 7), NOW, settled=False),) for each in series}
    assert table["app_id"].to_pylist() == [each.key.app_id for each in series]


def test_covered_spans_do_not_grow_in_number_with_the_history() -> None:
    """A year of nightly runs, each with its own instant, leaves two spans: the stale ones, and the last lookback."""
    table = NO_COVERAGE
    for night in range(365):
        now = NOW + timedelta(days=night)
        answers = journal_answers([(ONE, Span(night, night + 15))])
        table = with_answers(table, answers, now, now - timedelta(hours=6))
    last = NOW + timedelta(days=364)
    expected = (CoveredSpan(Span(0, 364), NOW, settled=False), CoveredSpan(Span(364, 379), last, settled=False))
    assert as_coverage(table) == {ONE.key: expected}
