"""Covered spans in bulk: what is answered of every series, as one Arrow table. Pure.

In: the covered spans of a workspace, the answers of a journal, a partition whose file was lost. Out: covered spans. A
workspace has thousands of series with a few covered spans each, so nothing goes row by row but `as_coverage`, which
gives the plan what it reads. `coverage_table.py` keeps the spans in the lake.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.buckets import EPOCH, end_of_closed
from collector.coverage import Coverage, CoveredSpan
from collector.lake.journal import JOURNAL_WINDOWS_SCHEMA
from collector.lake.merge import BUCKET_RANGE, dictionary_encoded, row_keys, series_ranks
from collector.lake.partition import of_table
from collector.lake.tables import INSTANT, SERIES, SERIES_KEY
from collector.model import Scope, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from zoneinfo import ZoneInfo

    from collector.lake.paths import Partition

COVERED_SPANS = pa.schema(
    [
        *(JOURNAL_WINDOWS_SCHEMA.field(name) for name in SERIES),
        ("first", pa.int32()),
        ("stop", pa.int32()),
        ("answered_at", INSTANT),
        ("settled", pa.bool_()),
    ]
)
"""Covered spans in memory: one row each, sorted by series and bucket, disjoint within a series, none empty.

`first` and `stop` are bucket numbers, as in `Span`. `answered_at` is the oldest answer in the span, or null where the
coverage was voided. `settled`: whether each bucket was answered when it was as old as the lookback.
"""

NO_COVERAGE = COVERED_SPANS.empty_table()

_MICROSECOND = 1_000_000
"""What a second has."""

# Arrow infers the type of a Python literal, and casts, at each call: that takes longer than the sum of a small column.
_ZERO, _ONE, _TWO = (pa.scalar(number, pa.int64()) for number in range(3))
_MINUTE = pa.scalar(60 * _MICROSECOND, pa.int64())
_UPPER_BITS = pa.scalar(32, pa.int64())
_LOWER_BITS = pa.scalar(BUCKET_RANGE - 1, pa.int64())
_DAY = pa.scalar(Unit.DAY.value, pa.string())
_VOIDED = pa.scalar(None, INSTANT)
_NO_INTERVAL = pa.scalar(0, pa.int32())

_NO_TIME = timedelta(0)
TRUSTED_CLOCK = timedelta(hours=1)
"""By how much a clock may differ from the server's."""
_TRUSTED = pa.scalar(TRUSTED_CLOCK // timedelta(microseconds=1), pa.int64())

_NIGHT = {Unit.DAY: 1, Unit.HOUR: 26}
"""By how many buckets a bucket may be younger than the lookback to be settled: nights are not exactly a day apart."""


@dataclass(frozen=True, slots=True)
class CoverageRules:
    """What the config and the clock say about coverage.

    `refresh_after`: the age from which an answer is stale. `settle` and `lookback`: as in the config. `believed_until`:
    coverage of buckets that end later, and answers that came later, were made with a wrong clock.
    """

    refresh_after: timedelta
    settle: timedelta
    lookback: Mapping[Unit, int]
    believed_until: datetime


def without_disbelieved(spans: pa.Table, until: datetime, zone: ZoneInfo) -> pa.Table:
    """The covered spans without what a run with a wrong clock wrote.

    Buckets that end after `until` are cut off. Answers that came after it are voided: the buckets are wanted again.
    """
    if not spans.num_rows:
        return spans
    too_late = pc.greater(spans["answered_at"], pa.scalar(until, INSTANT))
    day, hour = (pa.scalar(end_of_closed(unit, until, _NO_TIME, zone), pa.int32()) for unit in (Unit.DAY, Unit.HOUR))
    end = pc.if_else(pc.equal(spans["unit"], _DAY), day, hour)
    beyond = pc.greater(spans["stop"], end)
    if not (pc.any(too_late).as_py() or pc.any(beyond).as_py()):
        return spans
    spans = _with_column(spans, "stop", pc.min_element_wise(spans["stop"], end))
    spans = _with_column(spans, "answered_at", pc.if_else(too_late, _VOIDED, spans["answered_at"]))
    settled = pc.and_(spans["settled"], pc.invert(pc.fill_null(too_late, False)))
    spans = _with_column(spans, "settled", settled)
    return spans.filter(pc.less(spans["first"], spans["stop"]))


def with_answers(spans: pa.Table, answers: pa.Table, as_of: datetime, rules: CoverageRules, zone: ZoneInfo) -> pa.Table:
    """Cover the answers' spans (SERIES, first, stop, answered_date), and join neighbours that need not be kept apart.

    Neighbours join where both are settled or neither is, and where their answers are equally old, or both stale: later
    runs treat all stale answers alike. So the spans of a series do not grow in number with its history. All series of
    an id have its newest name. Where there are no answers, the very table that was given is returned.
    """
    if not answers.num_rows:
        return spans

    # All series are on one line, one after the other (see `row_keys`); a span or an answer is an interval on it. Cut
    # the line wherever an interval starts or ends. Then a piece between two cuts is the same from end to end, and it is
    # enough to count, for each cut, the intervals that are open behind it.
    span_ranks, answer_ranks = series_ranks([spans, answers], SERIES_KEY)
    # Each interval gives two cuts: one opens it, one closes it. None is empty, so at most one span and one answer start
    # at a position.
    cuts = pa.concat_tables(
        [
            _cuts(row_keys(span_ranks, spans["first"]), spans=1, span_state=_states(spans)),
            _cuts(row_keys(span_ranks, spans["stop"]), spans=-1),
            *_cuts_of_answers(answers, answer_ranks, as_of, rules, zone),
        ]
    ).sort_by("position")
    # Several cuts may be at one position, in any order: only the last of them has a piece behind it that is not empty,
    # and behind that one all of them are counted.
    answered = pc.greater(pc.cumulative_sum(cuts["answers"]), _NO_INTERVAL)
    known = pc.greater(pc.cumulative_sum(cuts["spans"]), _NO_INTERVAL)

    # A piece has the state of the answer now merged or, outside of these, of the span that it is part of: spans are
    # disjoint, and so are answers, so that is the last one that started. Only cuts at which one starts have a state, so
    # filling forward finds it. What was settled stays so. The last cut ends the last interval: no piece is behind it.
    before = pc.if_else(known, pc.fill_null_forward(cuts["span_state"]), _ZERO)
    after = pc.bit_wise_or(pc.fill_null_forward(cuts["answer_state"]), pc.bit_wise_and(before, _ONE))
    state = pc.if_else(answered, after, before)
    # A piece goes from each cut to the next one, with what was computed for its first cut.
    first, stop = cuts["position"][:-1], cuts["position"][1:]
    pieces = pa.table({"first": first, "stop": stop, "state": state[:-1]})
    exists = pc.and_(pc.or_(answered, known)[:-1], pc.less(first, stop))  # cuts at the same position: an empty piece

    # `index_in` finds the first row of a rank, so names of answers come before those of spans.
    ranks = pa.concat_arrays([answer_ranks, span_ranks])
    series = pa.concat_tables([answers.select(SERIES), spans.select(SERIES)]).unify_dictionaries()
    joined = _join_neighbours(pieces.filter(exists), as_of - rules.refresh_after)
    return _with_newest_names(_as_spans(joined, series, ranks), answers)


def void_partition(spans: pa.Table, partition: Partition, span: Span) -> pa.Table:
    """The covered spans with the buckets of `span` voided, for all series of the partition's table."""
    of_series = of_table(spans, partition.metric, partition.scope, partition.unit)
    overlaps = pc.and_(of_series, pc.and_(pc.less(spans["first"], span.stop), pc.greater(spans["stop"], span.first)))
    cut = spans.filter(overlaps)
    if not cut.num_rows:
        return spans
    # What a span that overlaps is cut into: the part before, the part after, and the part between, which is voided. Any
    # of them may be empty.
    first, stop = pa.scalar(span.first, pa.int32()), pa.scalar(span.stop, pa.int32())
    before = _with_column(cut, "stop", pc.min_element_wise(cut["stop"], first))
    after = _with_column(cut, "first", pc.max_element_wise(cut["first"], stop))
    between = _with_column(cut, "first", pc.max_element_wise(cut["first"], first))
    between = _with_column(between, "stop", pc.min_element_wise(cut["stop"], stop))
    between = _with_column(between, "answered_at", pa.nulls(cut.num_rows, INSTANT))
    between = _with_column(between, "settled", pa.repeat(pa.scalar(False), cut.num_rows))
    kept = pa.concat_tables([spans.filter(pc.invert(overlaps)), before, between, after])
    kept = kept.filter(pc.less(kept["first"], kept["stop"]))
    # The parts were appended at the end: sort again by series and bucket.
    (ranks,) = series_ranks([kept], SERIES_KEY)
    return kept.take(pc.sort_indices(row_keys(ranks, kept["first"])))


def as_coverage(spans: pa.Table) -> Coverage:
    """The covered spans of each series, for the plan. Series with equal spans share one tuple, by which it groups."""
    columns = [_values(spans[name]) for name in (*SERIES_KEY, "first", "stop", "answered_at", "settled")]
    found: dict[SeriesKey, list[tuple[int, int, datetime, bool]]] = {}
    for metric, scope, unit, app_id, segment_id, event, *span in zip(*columns, strict=True):
        key = SeriesKey(metric, Scope(scope), Unit(unit), app_id, segment_id, event)
        found.setdefault(key, []).append(tuple(span))
    # Equal rows give the same tuple, by its content: thousands of series were answered by the same runs.
    shared = cache(lambda rows: tuple(CoveredSpan(Span(first, stop), at, settled) for first, stop, at, settled in rows))
    return {key: shared(tuple(rows)) for key, rows in found.items()}


def _cuts(
    positions: pa.Array,
    spans: int = 0,
    answers: int = 0,
    span_state: pa.Array | None = None,
    answer_state: pa.Array | None = None,
) -> pa.Table:
    """Cuts at some positions, and by how much each changes the number of open spans and of open answers.

    A cut that opens one has its state, see `_states`.
    """
    count = len(positions)
    no_state = pa.nulls(count, pa.int64())
    return pa.table(
        {
            "position": positions,
            "spans": pa.repeat(pa.scalar(spans, pa.int32()), count),
            "answers": pa.repeat(pa.scalar(answers, pa.int32()), count),
            "span_state": no_state if span_state is None else span_state,
            "answer_state": no_state if answer_state is None else answer_state,
        }
    )


def _cuts_of_answers(
    answers: pa.Table, ranks: pa.Array, as_of: datetime, rules: CoverageRules, zone: ZoneInfo
) -> Iterable[pa.Table]:
    """The cuts of two intervals for each answer: the buckets that it settles, and the newer ones."""
    answered_at, settled_stop = _answer_times(answers, as_of, rules, zone)
    middle = pc.max_element_wise(answers["first"], pc.min_element_wise(answers["stop"], settled_stop))
    for first, stop, settled in ((answers["first"], middle, _ONE), (middle, answers["stop"], _ZERO)):
        # Most answers are of one kind, and the interval of the other kind is empty.
        exists = pc.less(first, stop)
        state = pc.add(pc.multiply(answered_at.filter(exists), _TWO), settled).combine_chunks()
        of_kind = ranks.filter(exists.combine_chunks())
        yield _cuts(row_keys(of_kind, first.filter(exists)), answers=1, answer_state=state)
        yield _cuts(row_keys(of_kind, stop.filter(exists)), answers=-1)


def _answer_times(
    answers: pa.Table, as_of: datetime, rules: CoverageRules, zone: ZoneInfo
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """For each answer: when it counts as given, and one past the newest bucket that it settles.

    An answer settles a bucket when, by the earlier of the run's `as_of` and the answer's own `Date`, as many newer
    buckets were closed as the lookback has, less `_NIGHT`.
    """
    run = pa.scalar(_microseconds(as_of), pa.int64())
    # Where an answer has no Date, the null is skipped.
    earlier = pc.min_element_wise(pc.cast(answers["answered_date"], pa.int64()), run)
    # A run whose clock is ahead must not leave answers that later runs take for newer than they are.
    ahead = pc.greater(pc.subtract(run, earlier), _TRUSTED)
    answered_at = pc.if_else(ahead, earlier, run)

    # By minutes, rounded down, which is the safe side: a run has a few hundred of them at most. A text for each minute
    # and unit, since what is looked up is one column.
    minutes = pc.divide(earlier, _MINUTE)
    is_day = pc.equal(answers["unit"], _DAY)
    keys = pc.add(pc.multiply(minutes, _TWO), pc.cast(is_day, pa.int64()))
    distinct = pc.unique(keys)
    stops = pa.array([_settled_stop(key, rules, zone) for key in distinct.to_pylist()], pa.int32())
    return answered_at, stops.take(pc.index_in(keys, value_set=distinct))


def _microseconds(instant: datetime) -> int:
    """The instant as Arrow's timestamps have it: microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def _settled_stop(key: int, rules: CoverageRules, zone: ZoneInfo) -> int:
    """One past the newest bucket that an answer settles. `key`: its minute since 1970 times two, plus one for days."""
    unit = Unit.DAY if key % 2 else Unit.HOUR
    closed = end_of_closed(unit, EPOCH + timedelta(minutes=key // 2), rules.settle, zone)
    lookback = rules.lookback[unit]
    return closed - max(0, lookback - _NIGHT[unit]) if lookback else closed


def _states(spans: pa.Table) -> pa.Array:
    """One int64 for each span: its `answered_at` in microseconds (0 where it is voided) times two, plus `settled`."""
    at = pc.fill_null(pc.cast(spans["answered_at"], pa.int64()), _ZERO)
    return pc.add(pc.multiply(at, _TWO), pc.cast(spans["settled"], pa.int64())).combine_chunks()


def _join_neighbours(pieces: pa.Table, stale_at: datetime) -> pa.Table:
    """Pieces (first, stop, state; sorted, disjoint) with neighbours of the same age and kind joined to one."""
    stale = pa.scalar(_microseconds(stale_at), pa.int64())
    at, settled = pc.shift_right(pieces["state"], _ONE), pc.bit_wise_and(pieces["state"], _ONE)
    # All stale answers have the same age, 1, and voided pieces have 0.
    age = pc.if_else(pc.greater(at, stale), at, pc.min_element_wise(at, _ONE))
    kind = pc.add(pc.multiply(age, _TWO), settled)
    # A piece goes on from the one before it where it starts at its end. Pieces of two series never do: the line has
    # room for every bucket between them. Number the pieces so that those that belong together have the same number.
    continues = pc.and_(pc.equal(pieces["first"][1:], pieces["stop"][:-1]), pc.equal(kind[1:], kind[:-1]))
    starts = pa.chunked_array([pa.array([0], pa.int32()), *pc.cast(pc.invert(continues), pa.int32()).chunks])
    numbered = pieces.append_column("number", pc.cumulative_sum(starts))
    # Without threads, groups come out in the order of their first piece, so the spans stay sorted. Within a group the
    # smallest state has the oldest answer.
    joined = numbered.group_by("number", use_threads=False).aggregate(
        [("first", "min"), ("stop", "max"), ("state", "min")]
    )
    return joined.select(["first_min", "stop_max", "state_min"]).rename_columns(pieces.column_names)


def _as_spans(pieces: pa.Table, series: pa.Table, ranks: pa.Array) -> pa.Table:
    """Pieces of the line as covered spans. `series` has rows with the columns SERIES, and `ranks` the rank of each row.

    A position is a rank times BUCKET_RANGE plus a bucket: the rank is its upper 32 bits, the bucket its lower 32.
    """
    # Both ends of a piece are in the same series: no interval reaches past its series' part of the line. Buckets are
    # not negative, so the lower 32 bits are the bucket itself.
    named = series.take(pc.index_in(pc.shift_right(pieces["first"], _UPPER_BITS), value_set=ranks))
    buckets = [pc.cast(pc.bit_wise_and(pieces[name], _LOWER_BITS), pa.int32()) for name in ("first", "stop")]
    at, settled = pc.shift_right(pieces["state"], _ONE), pc.bit_wise_and(pieces["state"], _ONE)
    answered_at = pc.if_else(pc.equal(at, _ZERO), _VOIDED, at.cast(INSTANT))
    return pa.table([*named.columns, *buckets, answered_at, settled.cast(pa.bool_())], schema=COVERED_SPANS)


def _with_newest_names(spans: pa.Table, answers: pa.Table) -> pa.Table:
    """The spans with the answers' name of each app and segment, whatever the series: names belong to ids."""
    for kind in ("app", "segment"):
        if answers[f"{kind}_id"].null_count == answers.num_rows:
            continue
        ids, names = (dictionary_encoded(answers[name]).cast(pa.string()) for name in (f"{kind}_id", kind))
        # A journal is of one run, whose config has one name for each id. A null id finds the null id's null name.
        place = pc.index_in(spans[f"{kind}_id"].cast(pa.string()), value_set=ids)
        newest = pc.if_else(pc.is_valid(place), names.take(place), spans[kind].cast(pa.string()))
        spans = _with_column(spans, kind, newest.combine_chunks().dictionary_encode())
    return spans


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The column's values, with equal ones as the same object: thousands of series share a few texts and instants."""
    encoded = dictionary_encoded(column)
    distinct = encoded.dictionary.to_pylist()
    return [None if index is None else distinct[index] for index in encoded.indices.to_pylist()]


def _with_column(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
