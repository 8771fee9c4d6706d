"""Coverage as a table: one row a run of covered buckets, with its series and its oldest answer.

Tables are of RUNS, sorted by series and bucket, runs disjoint, none empty. There are a few runs a series, and thousands
of series: no work is done a row at a time but for what the plan reads (`as_coverage`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.coverage import Coverage, Covered
from collector.lake.merge import BUCKETS, encoded, places, ranks
from collector.lake.schema import INSTANT, SERIES, WINDOWS
from collector.model import Scope, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from datetime import datetime

RUNS = pa.schema(
    [*(WINDOWS.field(name) for name in SERIES), ("first", pa.int32()), ("stop", pa.int32()), ("answered_at", INSTANT)]
)
"""`first` and `stop` are buckets, as in `Span`."""

NONE = RUNS.empty_table()

_KEY = ("scope", "unit", "app_id", "segment_id")


def with_answers(runs: pa.Table, answers: pa.Table, as_of: datetime, stale: datetime) -> pa.Table:
    """Cover the answers' spans (SERIES, first, stop) with an answer of `as_of`, and join what need not be told apart.

    Neighbours join where their answers are equally old, or both are of `stale` or older: no later run tells two stale
    answers apart, so the runs of a series do not grow with its history. Series are named as the answers name them.

    All series lie on one line, one behind the other, each with room for every bucket; a run or an answer is an interval
    on it. From one end of an interval to the next one nothing changes: such a stretch is covered by an answer, by the
    run that began last, or by nothing.
    """
    if not answers.num_rows:
        return runs
    of_runs, of_answers = ranks([runs, answers], _KEY)
    ends = pa.concat_tables(
        [
            _ends(places(of_runs, runs["first"]), runs=1, told=runs["answered_at"].combine_chunks()),
            _ends(places(of_runs, runs["stop"]), runs=-1),
            _ends(places(of_answers, answers["first"]), answers=1),
            _ends(places(of_answers, answers["stop"]), answers=-1),
        ]
    ).sort_by("place")
    answered = pc.greater(pc.cumulative_sum(ends["answers"]), 0)
    covered = pc.or_(answered, pc.greater(pc.cumulative_sum(ends["runs"]), 0))
    told = pc.if_else(answered, pa.scalar(as_of, INSTANT), pc.fill_null_forward(ends["told"]))
    stretches = pa.table(
        {"first": ends["place"][:-1], "stop": ends["place"][1:], "answered_at": told[:-1], "covered": covered[:-1]}
    )
    stretches = stretches.filter(pc.and_(stretches["covered"], pc.less(stretches["first"], stretches["stop"])))
    joined = _joined(stretches, stale)
    named = pa.concat_tables([answers.select(SERIES), runs.select(SERIES)]).unify_dictionaries()
    first_named = pa.concat_arrays([of_answers, of_runs])
    series = named.take(pc.index_in(pc.shift_right(joined["first"], 32), value_set=first_named))
    return pa.table([*series.columns, *_buckets(joined), joined["answered_at"]], schema=RUNS)


def without(runs: pa.Table, scope: Scope, unit: Unit, span: Span) -> pa.Table:
    """Forget the span's buckets, in all series of a scope and unit."""
    of_table = pc.and_(pc.equal(runs["scope"], scope.value), pc.equal(runs["unit"], unit.value))
    within = pc.and_(pc.less(runs["first"], span.stop), pc.greater(runs["stop"], span.first))
    hit = pc.and_(of_table, within)
    cut = runs.filter(hit)
    before = _with(cut, "stop", pc.min_element_wise(cut["stop"], pa.scalar(span.first, pa.int32())))
    after = _with(cut, "first", pc.max_element_wise(cut["first"], pa.scalar(span.stop, pa.int32())))
    kept = pa.concat_tables([runs.filter(pc.invert(hit)), before, after])
    kept = kept.filter(pc.less(kept["first"], kept["stop"]))
    (rank,) = ranks([kept], _KEY)
    return kept.take(pc.sort_indices(places(rank, kept["first"])))


def as_coverage(runs: pa.Table) -> Coverage:
    """The runs of each series, for the plan. Series that were answered alike share one tuple of runs."""
    columns = [_values(runs[name]) for name in (*_KEY, "first", "stop", "answered_at")]
    found: dict[SeriesKey, list[tuple[int, int, datetime]]] = {}
    for scope, unit, app_id, segment_id, *run in zip(*columns, strict=True):
        found.setdefault(SeriesKey(Scope(scope), Unit(unit), app_id, segment_id), []).append(tuple(run))
    shared = cache(lambda some: tuple(Covered(Span(first, stop), told) for first, stop, told in some))
    return {key: shared(tuple(some)) for key, some in found.items()}


def _ends(where: pa.Array, runs: int = 0, answers: int = 0, told: pa.Array | None = None) -> pa.Table:
    """Ends of intervals, and how each changes the number of runs and of answers that hold what follows."""
    count = len(where)
    return pa.table(
        {
            "place": where,
            "runs": pa.repeat(pa.scalar(runs, pa.int32()), count),
            "answers": pa.repeat(pa.scalar(answers, pa.int32()), count),
            "told": pa.nulls(count, INSTANT) if told is None else told,
        }
    )


def _joined(stretches: pa.Table, stale: datetime) -> pa.Table:
    """Neighbours that are alike as one: first, stop, answered_at."""
    told, oldest = stretches["answered_at"], pa.scalar(stale, INSTANT)
    age = pc.if_else(pc.greater(told, oldest), told, oldest)  # all that are stale are alike
    follows = pc.and_(pc.equal(stretches["first"][1:], stretches["stop"][:-1]), pc.equal(age[1:], age[:-1]))
    begins = pa.chunked_array([pa.array([0], pa.int32()), *pc.cast(pc.invert(follows), pa.int32()).chunks])
    numbered = stretches.append_column("number", pc.cumulative_sum(begins))
    grouped = numbered.group_by("number", use_threads=False).aggregate(
        [("first", "min"), ("stop", "max"), ("answered_at", "min")]
    )
    return grouped.select(["first_min", "stop_max", "answered_at_min"]).rename_columns(["first", "stop", "answered_at"])


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The column's values, equal ones as one object: thousands of series share a few texts and instants."""
    whole = encoded(column)
    distinct = whole.dictionary.to_pylist()
    return [None if place is None else distinct[place] for place in whole.indices.to_pylist()]


def _buckets(joined: pa.Table) -> list[pa.ChunkedArray]:
    return [pc.cast(pc.bit_wise_and(joined[name], BUCKETS - 1), pa.int32()) for name in ("first", "stop")]


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
