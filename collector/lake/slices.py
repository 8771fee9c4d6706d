"""A journal's answers cut to what is merged at once: a partition, and within it a range of series.

Whatever a journal holds, a slice is bounded: so many series that all buckets of the month, in the journal and in the
partition, are at most some million. Slices of a partition come in the order of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.calendar import month_of, month_span
from collector.lake import journal
from collector.lake.merge import places, ranks
from collector.lake.parquet import ROWS_IN_GROUP
from collector.lake.paths import Partition
from collector.lake.schema import IDS, INSTANT, sessions
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from collector.lake.journal import Journal, Origin
    from collector.lake.store import Store


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows are merged at once, at most and about, and how many a row group of the file holds."""

    slice: int = 1_000_000
    group: int = ROWS_IN_GROUP


DEFAULT_SIZES = Sizes()

Key = tuple[str, ...]
"""A series within a table: its ids, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Windows of consecutive series, sorted by series and bucket; `first` and `last` are the outermost series."""

    windows: pa.Table
    first: Key
    last: Key


def partitions(workspace: str, content: Journal) -> Iterator[tuple[Partition, pa.Table]]:
    """The partitions that the journal has points for, and the windows that may hold them."""
    answered = content.answered("entry", "row", "points")
    for scope in Scope:
        for unit in Unit:
            of_table = pc.and_(pc.equal(answered["scope"], scope.value), pc.equal(answered["unit"], unit.value))
            windows = answered.filter(pc.and_(of_table, pc.greater(answered["points"], 0)))
            for month in _months(unit, windows):
                span = month_span(unit, month)
                within = pc.and_(pc.less(windows["first"], span.stop), pc.greater(windows["stop"], span.first))
                if chosen := windows.filter(within):  # else a month between, which need not even be read
                    yield Partition(workspace, scope, unit, month), chosen


def slices(partition: Partition, windows: pa.Table, ids: list[str], rows: int) -> Iterator[Slice]:
    """Cut a partition's windows into ranges of series, of so many rows at most, or of one series."""
    (rank,) = ranks([windows], ids)
    order = pc.sort_indices(places(rank, windows["first"]))
    windows, rank = windows.take(order).combine_chunks(), rank.take(order)
    series = pc.unique(rank).to_pylist()
    step = max(1, rows // len(month_span(partition.unit, partition.month)))
    for place in range(0, len(series), step):
        some = series[place : place + step]
        chosen = windows.filter(pc.and_(pc.greater_equal(rank, some[0]), pc.less_equal(rank, some[-1])))
        yield Slice(chosen, key_at(chosen, ids, 0), key_at(chosen, ids, chosen.num_rows - 1))


def incoming(store: Store, content: Journal, partition: Partition, windows: pa.Table) -> pa.Table:
    """The windows' points in the partition, in its table's columns, with `bucket` (int32) for the date or hour."""
    names = sessions(partition.scope, partition.unit).names
    points = journal.points(store, content, windows, [name for name in IDS if name in names])
    span = month_span(partition.unit, partition.month)
    if pc.min(windows["first"]).as_py() < span.first or pc.max(windows["stop"]).as_py() > span.stop:
        within = pc.and_(pc.greater_equal(points["bucket"], span.first), pc.less(points["bucket"], span.stop))
        points = points.filter(within)
    return _as_rows(points, partition, content.origin)


def key_at(rows: pa.Table, ids: list[str], place: int) -> Key:
    """The series of one row."""
    return tuple(rows[name][place].as_py() for name in ids)


def when(unit: Unit) -> str:
    """The column of a data table that says which bucket a row is of."""
    return "date" if unit is Unit.DAY else "hour"


def _months(unit: Unit, windows: pa.Table) -> list[date]:
    firsts = pc.unique(windows["first"]).to_pylist()
    lasts = [stop - 1 for stop in pc.unique(windows["stop"]).to_pylist()]
    if not firsts:
        return []
    month, newest = month_of(unit, min(firsts)), month_of(unit, max(lasts))
    found = []
    while month <= newest:
        found.append(month)
        month = month_of(unit, month_span(unit, month).stop)
    return found


def _as_rows(points: pa.Table, partition: Partition, origin: Origin) -> pa.Table:
    def every(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), points.num_rows)

    columns = {name: points[name] for name in points.column_names}
    columns["revision"] = every(0, pa.int32())
    columns["collected_at"] = every(origin.as_of, INSTANT)
    columns["run_id"] = pa.DictionaryArray.from_arrays(every(0, pa.int32()), [origin.run_id])
    names = sessions(partition.scope, partition.unit).names
    names = ["bucket" if name == when(partition.unit) else name for name in names]
    return pa.table({name: columns[name] for name in names})
