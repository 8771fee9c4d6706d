"""Merge a journal's answers into a partition and stage the new file, in bounded memory.

In: the partition's file and the journal's windows for it. Out: what changed, and a staged file where something did; it
is published by the caller. Both sides are read in the order of the rows (ids, then bucket), one batch of series at a
time. However large the journal and the partition are, a batch is bounded: it has so few series that all buckets of the
month together are about 50,000 rows; where the partition has no file yet, so few that their answers are. Rows of other
series are copied as they are.
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
from collector.lake.journal import read_points
from collector.lake.merge import bucket_months, bucket_numbers, hour_timestamps, merge, row_keys, series_ranks
from collector.lake.parquet import ROWS_IN_GROUP, LakeParquetFile, StagedParquet, stage_parquet
from collector.lake.paths import Partition
from collector.lake.store import NO_FILE, Replacement
from collector.lake.tables import IDS, INSTANT, VALUE_TYPES, DataTable, data_table
from collector.model import Scope, Span, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date

    from collector.lake.journal import Journal, LandingId
    from collector.lake.store import Store

LANDING = "collector.landing"
"""The footer key of the landing that wrote a data file."""

PLACE = "collector.partition"
"""The footer key of the path that a data file was written for: at another path its rows would be read as others'."""

REPLACED = "collector.replaced"
"""The footer key of the landing that wrote the version which was merged; empty where there was no file."""

Key = tuple[str, ...]
"""A series within a table: its ids, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """`rows`: about how many are merged at once, at most. `group`: how many are in a row group of the file."""

    rows: int = 50_000
    group: int = ROWS_IN_GROUP


DEFAULT_BATCH_SIZES = BatchSizes()


@dataclass(slots=True)
class PartitionChanges:
    """What a merge changed in a partition; it grows with each batch. `restated`: see `merge.Merged`."""

    added: int = 0
    unchanged: int = 0
    restated: list[pa.Table] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether a new file is needed."""
        return bool(self.added or self.restated)


@dataclass(frozen=True, slots=True)
class SeriesBatch:
    """Windows of consecutive series, sorted by series and bucket. `first` and `last`: the first and the last series."""

    windows: pa.Table
    first: Key
    last: Key


def partitions(workspace: str, journal: Journal) -> Iterator[tuple[Partition, pa.Table]]:
    """The partitions that the journal may have points for, each with the windows that overlap it."""
    answered = journal.answered("entry", "row", "points")
    # An answer without points adds no row, so its partition need not be read. The coverage still includes it.
    answered = answered.filter(pc.greater(answered["points"], pa.scalar(0, pa.int32())))
    for metric, scope, unit in tables_of(answered):
        windows = answered.filter(of_table(answered, metric, scope, unit))
        months = _months(unit, windows)
        for month in months:
            span = month_span(unit, month)
            of_month = windows if len(months) == 1 else _overlapping(windows, span)
            if of_month.num_rows:  # a month between the oldest and the newest may have none
                yield Partition(workspace, metric, scope, unit, month), of_month


def _overlapping(windows: pa.Table, span: Span) -> pa.Table:
    """The windows that have buckets of the span."""
    first, stop = pa.scalar(span.first, pa.int32()), pa.scalar(span.stop, pa.int32())
    return windows.filter(pc.and_(pc.less(windows["first"], stop), pc.greater(windows["stop"], first)))


def of_table(rows: pa.Table, metric: str, scope: Scope, unit: Unit) -> pa.ChunkedArray:
    """Whether each row, which has the columns SERIES, is of a series of that data table."""
    of_scope = pc.and_(_is(rows["scope"], scope.value), _is(rows["unit"], unit.value))
    return pc.and_(_is(rows["metric"], metric), of_scope)


def _is(column: pa.ChunkedArray, text: str) -> pa.ChunkedArray:
    return pc.equal(column, pa.scalar(text, pa.string()))


def merge_partition(
    store: Store, partition: Partition, windows: pa.Table, journal: Journal, sizes: BatchSizes = DEFAULT_BATCH_SIZES
) -> tuple[PartitionChanges, Replacement | None]:
    """Merge the windows' points into the partition. No replacement where nothing changed. Raises LakeError."""
    table, changes = table_of(partition), PartitionChanges()
    file = LakeParquetFile.open(store, partition.path)
    with file or nullcontext():
        # All of these are lazy: a batch's points and the rows beside it are read when the batch is merged.
        reader = PartitionReader(_row_groups(file, table), table.ids)
        batches = series_batches(partition, windows, table.ids, sizes.rows, new=file is None)
        answers = ((batch, _points_as_rows(store, journal, partition, batch.windows)) for batch in batches)
        pieces = _merge_batches(reader, answers, table.ids, changes)

        # A partition that does not change is not written. So rows are held until the first change. If they are more
        # than a batch, they cannot be held: the file is started, and is discarded if no change follows.
        held = _until_changed(pieces, changes, sizes.rows)
        if held is None:
            return changes, None
        groups = _unless_unchanged(_row_group_pieces(chain(held, pieces), sizes.group), changes)
        # By these two keys the next run recognizes the files of a landing that died before the coverage was published.
        footer_metadata = {
            LANDING: journal.landing_id.name,
            PLACE: partition.path,
            REPLACED: file.footer_metadata().get(LANDING, "") if file else "",
        }
        staged = _stage(store, table, groups, footer_metadata, sizes.group)
    if staged is None:
        return changes, None
    return changes, Replacement(partition.path, staged.staged, file.version if file else NO_FILE, rows=staged.rows)


def series_batches(
    partition: Partition, windows: pa.Table, ids: Sequence[str], rows: int, *, new: bool = False
) -> Iterator[SeriesBatch]:
    """Divide a partition's windows by series, in order, into batches of at most `rows` rows, or of one series.

    `new`: the partition has no rows yet.
    """
    (rank,) = series_ranks([windows], ids)
    order = pc.sort_indices(row_keys(rank, windows["first"]))
    windows, rank = windows.take(order).combine_chunks(), rank.take(order)
    # `unique` keeps the order of the first occurrences, so `series` is sorted, and a batch is a range of ranks.
    series = pc.unique(rank).to_pylist()
    # A run requests a bucket at most once. So a series has at most one row for each bucket of the month, both in the
    # journal and in the partition, and this many series are no more than `rows` rows of each.
    longest = len(month_span(partition.unit, partition.month))
    if new and len(series) * longest > rows:
        points = pa.table({"rank": rank, "points": windows["points"]}).group_by("rank").aggregate([("points", "sum")])
        longest = min(longest, pc.max(points["points_sum"]).as_py())
    step = max(1, rows // longest)
    for start in range(0, len(series), step):
        ranks = series[start : start + step]
        of_batch = windows
        if len(ranks) < len(series):  # else they are one batch, as in most workspaces
            of_batch = windows.filter(pc.and_(pc.greater_equal(rank, ranks[0]), pc.less_equal(rank, ranks[-1])))
        yield SeriesBatch(of_batch, _key_at(of_batch, ids, 0), _key_at(of_batch, ids, of_batch.num_rows - 1))


def check_rows(file: LakeParquetFile, partition: Partition) -> None:
    """Read all of a data file that was not written as it is: its rows must be the partition's, sorted, each key once.

    Raises DamagedFile. Merging relies on all of this, so a file without it would go on showing wrong rows.
    """
    place = file.footer_metadata().get(PLACE, partition.path)
    if place != partition.path:
        raise file.damaged(f"it is the file of {place}")
    table = table_of(partition)
    rows = file.table(table.schema, table.texts)
    if not rows.num_rows:
        return
    buckets = bucket_numbers(table.unit, rows[table.time_column])
    months = bucket_months(table.unit, buckets)
    if months != [partition.month]:
        raise file.damaged(f"it contains rows of {', '.join(str(month) for month in months)}")
    (rank,) = series_ranks([rows], table.ids)
    keys = row_keys(rank, buckets)
    if not pc.all(pc.greater(keys[1:], keys[:-1]), min_count=0).as_py():
        raise file.damaged("its rows are not in order, or one of them is there twice")


class PartitionReader:
    """The rows of a partition in order, read one row group at a time. Each method goes on where the last one ended."""

    def __init__(self, groups: Iterator[pa.Table], ids: Sequence[str]) -> None:
        self._groups, self._ids = groups, ids
        self._unread: pa.Table | None = next(groups, None)

    def before(self, key: Key) -> Iterator[pa.Table]:
        """The rows of the series that sort before the key."""
        # A binary search instead of a column of keys: it looks at some twenty rows of a row group.
        return self._take(lambda rows: bisect_left(range(rows.num_rows), key, key=self._key_of(rows)))

    def up_to(self, key: Key, none: pa.Table) -> pa.Table:
        """The rows of the series up to the key's own, as one table; `none`, which is empty, where there are none."""
        parts = self._take(lambda rows: bisect_right(range(rows.num_rows), key, key=self._key_of(rows)))
        return pa.concat_tables([none, *parts]).unify_dictionaries()

    def rest(self) -> Iterator[pa.Table]:
        """All rows that are left."""
        return self._take(lambda rows: rows.num_rows)

    def _take(self, count: Callable[[pa.Table], int]) -> Iterator[pa.Table]:
        """Rows from the front, as slices of row groups. `count` says how many of a row group's rows are wanted.

        `_unread` is what is left of the current row group. It is never empty, and None at the end of the file. The
        first row group that is not wanted to its end is the last one that is looked at.
        """
        while self._unread is not None:
            # `_unread` is advanced before the slice is handed out: whenever the consumer stops, the next call goes on
            # at the right row. Slices copy nothing.
            taken, rows = count(self._unread), self._unread
            self._unread = rows.slice(taken) if taken < rows.num_rows else next(self._groups, None)
            if taken:
                yield rows.slice(0, taken)
            if taken < rows.num_rows:
                return

    def _key_of(self, rows: pa.Table) -> Callable[[int], Key]:
        return lambda index: _key_at(rows, self._ids, index)


def _months(unit: Unit, windows: pa.Table) -> list[date]:
    """All months from the windows' oldest bucket to their newest."""
    if not windows.num_rows:
        return []
    month = month_of(unit, pc.min(windows["first"]).as_py())
    newest = month_of(unit, pc.max(windows["stop"]).as_py() - 1)
    months = []
    while month <= newest:
        months.append(month)
        month = month_of(unit, month_span(unit, month).stop)
    return months


def table_of(partition: Partition) -> DataTable:
    """The partition's table."""
    return data_table(partition.metric, partition.scope, partition.unit)


def tables_of(windows: pa.Table) -> list[tuple[str, Scope, Unit]]:
    """The data tables that windows belong to: metric, scope and unit."""
    # A few combinations among any number of windows, so they are looked for one by one.
    names = windows.select(["metric", "scope", "unit"]).group_by(["metric", "scope", "unit"]).aggregate([])
    return sorted((row["metric"], Scope(row["scope"]), Unit(row["unit"])) for row in names.to_pylist())


def _names_in_memory(table: DataTable) -> list[str]:
    """The table's columns as rows have them here: `bucket` for the date or hour, `value` for the metric's own name."""
    renamed = {table.time_column: "bucket", table.metric.name: "value"}
    return [renamed.get(name, name) for name in table.schema.names]


def _row_groups(file: LakeParquetFile | None, table: DataTable) -> Iterator[pa.Table]:
    """The file's row groups, with `bucket` (int32) in place of the date or hour, and `value`."""
    if file is None:
        return
    names = _names_in_memory(table)
    place = names.index("bucket")
    for rows in file.row_groups(table.schema, table.texts):
        renamed = rows.rename_columns(names)
        yield renamed.set_column(place, "bucket", bucket_numbers(table.unit, renamed["bucket"]))


def _points_as_rows(store: Store, journal: Journal, partition: Partition, windows: pa.Table) -> pa.Table:
    """The windows' points in the partition's month, in the columns that `_row_groups` gives."""
    names = _names_in_memory(table_of(partition))
    kind = VALUE_TYPES[table_of(partition).metric.type]
    points = read_points(store, journal, windows, [name for name in IDS if name in names], kind)
    span = month_span(partition.unit, partition.month)
    # Points are sorted by series and bucket, each once: windows are sorted, those of a series do not overlap, and each
    # has its points in order. `merge` relies on it. Only windows across a month's end have points of two months.
    if pc.min(windows["first"]).as_py() < span.first or pc.max(windows["stop"]).as_py() > span.stop:
        of_month = pc.and_(pc.greater_equal(points["bucket"], span.first), pc.less(points["bucket"], span.stop))
        points = points.filter(of_month)
    columns = {name: points[name] for name in points.column_names}
    columns |= _provenance(journal.landing_id, points.num_rows)
    # The order of the table's columns, so that these rows and those of the file can be put into one table.
    return pa.table({name: columns[name] for name in names})


def _provenance(landing_id: LandingId, count: int) -> dict[str, pa.Array]:
    """The columns that say where a new row comes from, the same in each of `count` rows."""
    return {
        "revision": pa.repeat(pa.scalar(0, pa.int32()), count),
        "collected_at": pa.repeat(pa.scalar(landing_id.as_of, INSTANT), count),
        "run_id": pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), [landing_id.run_id]),
    }


def _merge_batches(
    reader: PartitionReader,
    answers: Iterator[tuple[SeriesBatch, pa.Table]],
    ids: Sequence[str],
    changes: PartitionChanges,
) -> Iterator[pa.Table]:
    """The partition's new rows, in order. `changes` grows as they are taken."""
    # Batches are in the order of the rows and do not overlap. So the rows between two batches belong to series that
    # the journal has no answers for, and are passed on as they are.
    for batch, points in answers:
        yield from reader.before(batch.first)
        # Batches end at a series, never inside one, so all rows that these answers can match are in `existing`.
        existing = reader.up_to(batch.last, points.slice(0, 0))
        merged = merge(existing, points, ids)
        changes.added += merged.added
        changes.unchanged += merged.unchanged
        changes.restated += [merged.restated] if merged.restated.num_rows else []
        yield existing if merged.rows is None else merged.rows
    yield from reader.rest()


def _until_changed(pieces: Iterator[pa.Table], changes: PartitionChanges, limit: int) -> list[pa.Table] | None:
    """The pieces up to the first change, or until they have `limit` rows; None where all pieces are unchanged."""
    held: list[pa.Table] = []
    for piece in pieces:
        held.append(piece)
        # The merge that made `piece` ran before it arrived here, so `changes` includes it.
        if changes.any or sum(rows.num_rows for rows in held) >= limit:
            return held
    return held if changes.any else None


class _UnchangedError(Exception):
    """Discards the file that is being staged."""


def _unless_unchanged(pieces: Iterator[pa.Table], changes: PartitionChanges) -> Iterator[pa.Table]:
    """The pieces; then raises _UnchangedError where nothing has changed."""
    yield from pieces
    # Only an exception inside the `stage` block discards a file. All rows are merged by now, so `changes` is final.
    if not changes.any:
        raise _UnchangedError


def _stage(
    store: Store, table: DataTable, groups: Iterator[pa.Table], footer_metadata: Mapping[str, str], size: int
) -> StagedParquet | None:
    """Stage the rows as the partition's file, in row groups of `size`; None where they raise _UnchangedError."""
    sorted_by = [*table.ids, table.time_column]
    try:
        with stage_parquet(store, table.schema_in_memory, sorted_by, footer_metadata) as staging:
            for rows in groups:
                staging.write(_as_stored(rows, table), size)
    except _UnchangedError:
        return None
    return staging


def _row_group_pieces(pieces: Iterator[pa.Table], group: int) -> Iterator[pa.Table]:
    """The same rows in pieces of complete row groups, except for the last piece."""
    # The writer starts a row group with each call, and pieces may be of any size. Between two of them, `waiting` has
    # `count` rows, fewer than a row group.
    waiting: list[pa.Table] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += piece.num_rows
        if count >= group:
            rows = pa.concat_tables(waiting)
            complete = count - count % group
            yield rows.slice(0, complete)
            waiting, count = [rows.slice(complete)], count - complete
    if count:
        yield pa.concat_tables(waiting)


def _as_stored(rows: pa.Table, table: DataTable) -> pa.Table:
    """The rows with the columns of the table's files."""
    bucket = rows["bucket"]
    column = bucket.cast(pa.date32()) if table.unit is Unit.DAY else hour_timestamps(bucket)
    stored = rows.set_column(rows.column_names.index("bucket"), "bucket", column)
    return stored.rename_columns(table.schema.names).unify_dictionaries()


def _key_at(rows: pa.Table, ids: Sequence[str], index: int) -> Key:
    return tuple(rows[name][index].as_py() for name in ids)
