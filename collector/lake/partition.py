"""A journal's answers cut to what is merged at once: a partition, and within it a range of series.

Whatever a journal holds, a slice is bounded: so many series that all buckets of the month, in the journal and in the
partition, are at most some million. Slices of a partition come in the order of its rows.

One partition merged and staged, a range of series at a time: memory does not grow with it.

In: the partition as it lies in the lake, and the journal's slices, both in the order of the rows. Out: a staged file
that holds both, or nothing where nothing changed. What is in no slice is passed on as it is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.buckets import month_of, month_span
from collector.lake import journal
from collector.lake.merge import bucket_numbers, hour_timestamps, merge, row_keys, series_ranks
from collector.lake.parquet import ROWS_IN_GROUP, LakeParquetFile, stage_parquet
from collector.lake.paths import Partition
from collector.lake.schema import ID_COLUMNS, IDS, INSTANT, sessions
from collector.lake.store import NO_FILE, Replacement
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from collector.lake.journal import Journal, LandingId
    from collector.lake.store import Staged, Store


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """How many rows are merged at once, at most and about, and how many a row group of the file holds."""

    slice: int = 1_000_000
    group: int = ROWS_IN_GROUP


DEFAULT_BATCH_SIZES = BatchSizes()

Key = tuple[str, ...]
"""A series within a table: its ids, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class SeriesBatch:
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


def series_batches(partition: Partition, windows: pa.Table, ids: list[str], rows: int) -> Iterator[SeriesBatch]:
    """Cut a partition's windows into ranges of series, of so many rows at most, or of one series."""
    (rank,) = series_ranks([windows], ids)
    order = pc.sort_indices(row_keys(rank, windows["first"]))
    windows, rank = windows.take(order).combine_chunks(), rank.take(order)
    series = pc.unique(rank).to_pylist()
    step = max(1, rows // len(month_span(partition.unit, partition.month)))
    for place in range(0, len(series), step):
        some = series[place : place + step]
        chosen = windows.filter(pc.and_(pc.greater_equal(rank, some[0]), pc.less_equal(rank, some[-1])))
        yield SeriesBatch(chosen, key_at(chosen, ids, 0), key_at(chosen, ids, chosen.num_rows - 1))


def points_as_rows(store: Store, content: Journal, partition: Partition, windows: pa.Table) -> pa.Table:
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


def time_column(unit: Unit) -> str:
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


def _as_rows(points: pa.Table, partition: Partition, origin: LandingId) -> pa.Table:
    def every(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), points.num_rows)

    columns = {name: points[name] for name in points.column_names}
    columns["revision"] = every(0, pa.int32())
    columns["collected_at"] = every(origin.as_of, INSTANT)
    columns["run_id"] = pa.DictionaryArray.from_arrays(every(0, pa.int32()), [origin.run_id])
    names = sessions(partition.scope, partition.unit).names
    names = ["bucket" if name == time_column(partition.unit) else name for name in names]
    return pa.table({name: columns[name] for name in names})


LANDING = "collector.landing"
"""The footer note of a data file that names the landing which wrote it."""

REPLACED = "collector.replaced"
"""The footer note that names the landing of the version which was merged, empty where there was none."""


class _UnchangedError(Exception):
    """Drops what is being staged."""


@dataclass(slots=True)
class PartitionChanges:
    """What merging a partition came to; `restated` holds the rows that were (see `merge.Merged`)."""

    added: int = 0
    unchanged: int = 0
    restated: list[pa.Table] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether the partition has to be written."""
        return bool(self.added or self.restated)

    def require(self) -> None:
        """Raise, so that what is being staged is dropped, where nothing changed."""
        if not self.any:
            raise _UnchangedError


def merge_partition(
    store: Store, partition: Partition, windows: pa.Table, content: Journal, sizes: BatchSizes = DEFAULT_BATCH_SIZES
) -> tuple[PartitionChanges, Replacement | None]:
    """Merge the journal's windows into the partition, and stage it where something changed. Raises LakeError."""
    changes = PartitionChanges()
    entry = LakeParquetFile.open(store, partition.path)
    with entry or nullcontext():
        footer_metadata = {
            LANDING: content.origin.landing_id,
            REPLACED: entry.footer_metadata().get(LANDING, "") if entry else "",
        }
        existing = PartitionReader(_row_groups(entry, partition), _ids(partition))
        cuts = series_batches(partition, windows, _ids(partition), sizes.slice)
        arrivals = ((cut, points_as_rows(store, content, partition, cut.windows)) for cut in cuts)
        pieces = _merged(existing, arrivals, _ids(partition), changes)
        held = _until_changed(pieces, changes, sizes.slice)
        staged = (
            None if held is None else _stage(store, partition, chain(held, pieces), changes, footer_metadata, sizes)
        )
    version = NO_FILE if entry is None else entry.version
    return changes, Replacement(partition.path, staged, version) if staged else None


def _merged(
    existing: PartitionReader,
    arrivals: Iterator[tuple[SeriesBatch, pa.Table]],
    ids: list[str],
    changes: PartitionChanges,
) -> Iterator[pa.Table]:
    """The partition's rows as they are to be, in order; `changes` grows on the way."""
    for cut, arrived in arrivals:
        yield from existing.before(cut.first)
        present = existing.up_to(cut.last, arrived.schema)
        merged = merge(present, arrived, ids)
        changes.added += merged.added
        changes.unchanged += merged.unchanged
        changes.restated += [merged.restated] if merged.restated.num_rows else []
        yield present if merged.rows is None else merged.rows
    yield from existing.rest()


def _until_changed(pieces: Iterator[pa.Table], changes: PartitionChanges, most: int) -> list[pa.Table] | None:
    """The pieces up to the first change, or to as many rows as may be held; None where they end unchanged."""
    held: list[pa.Table] = []
    for piece in pieces:
        held.append(piece)
        if changes.any or sum(table.num_rows for table in held) >= most:
            return held
    return held if changes.any else None


def _stage(  # what is written, where, and how
    store: Store,
    partition: Partition,
    pieces: Iterator[pa.Table],
    changes: PartitionChanges,
    footer_metadata: Mapping[str, str],
    sizes: BatchSizes,
) -> Staged | None:
    """Stage the pieces; None where they turn out to be what is there already."""
    sorted_by = [*_ids(partition), time_column(partition.unit)]
    try:
        with stage_parquet(store, _written_schema(partition), sorted_by, footer_metadata) as writing:
            for rows in _even(pieces, sizes.group):
                writing.write(_with_instants(rows, partition), sizes.group)
            changes.require()
    except _UnchangedError:
        return None
    return writing.staged


def _even(pieces: Iterator[pa.Table], group: int) -> Iterator[pa.Table]:
    """The same rows in pieces of whole row groups, but for the last."""
    waiting: list[pa.Table] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += piece.num_rows
        if count >= group:
            rows = pa.concat_tables(waiting)
            whole = count - count % group
            yield rows.slice(0, whole)
            waiting, count = [rows.slice(whole)], count - whole
    if count:
        yield pa.concat_tables(waiting)


class PartitionReader:
    """The partition's rows in their order, read a row group at a time."""

    def __init__(self, groups: Iterator[pa.Table], ids: list[str]) -> None:
        self._groups, self._ids = groups, ids
        self._unread: pa.Table | None = next(groups, None)

    def before(self, key: Key) -> Iterator[pa.Table]:
        """The rows of series that sort before the key."""
        return self._take(lambda rows: bisect_left(range(rows.num_rows), key, key=self._keys(rows)))

    def up_to(self, key: Key, schema: pa.Schema) -> pa.Table:
        """The rows from here to the end of the key's series, as one table; `schema` is that of none."""
        parts = self._take(lambda rows: bisect_right(range(rows.num_rows), key, key=self._keys(rows)))
        return pa.concat_tables([schema.empty_table(), *parts]).unify_dictionaries()

    def rest(self) -> Iterator[pa.Table]:
        """All that is left."""
        return self._take(lambda rows: rows.num_rows)

    def _take(self, count: Callable[[pa.Table], int]) -> Iterator[pa.Table]:
        while self._unread is not None:
            taken, rows = count(self._unread), self._unread
            self._unread = rows.slice(taken) if taken < rows.num_rows else next(self._groups, None)
            if taken:
                yield rows.slice(0, taken)
            if taken < rows.num_rows:
                return

    def _keys(self, rows: pa.Table) -> Callable[[int], Key]:
        return lambda place: key_at(rows, self._ids, place)


def _row_groups(entry: LakeParquetFile | None, partition: Partition) -> Iterator[pa.Table]:
    """The partition's rows with `bucket` (int32) in place of the date or hour."""
    if entry is None:
        return
    columns = sessions(partition.scope, partition.unit)
    name = time_column(partition.unit)
    for rows in entry.row_groups(columns, _texts(columns)):
        yield rows.set_column(columns.get_field_index(name), "bucket", bucket_numbers(partition.unit, rows[name]))


def _with_instants(rows: pa.Table, partition: Partition) -> pa.Table:
    bucket = rows["bucket"]
    column = bucket.cast(pa.date32()) if time_column(partition.unit) == "date" else hour_timestamps(bucket)
    return rows.set_column(rows.column_names.index("bucket"), time_column(partition.unit), column).unify_dictionaries()


def _written_schema(partition: Partition) -> pa.Schema:
    """The table's columns, texts as dictionaries, as they are held in memory."""
    texts = pa.dictionary(pa.int32(), pa.string())
    columns = sessions(partition.scope, partition.unit)
    named = _texts(columns)
    return pa.schema([(name, texts if name in named else columns.field(name).type) for name in columns.names])


def _texts(columns: pa.Schema) -> list[str]:
    return [name for name in columns.names if columns.field(name).type == pa.string()]


def _ids(partition: Partition) -> list[str]:
    names = sessions(partition.scope, partition.unit).names
    return [name for name in ID_COLUMNS if name in names]
