"""One partition merged and staged, a range of series at a time: memory does not grow with it.

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

from collector.lake import instants
from collector.lake.merge import merge
from collector.lake.parquet import ParquetInput, staging
from collector.lake.schema import ID_COLUMNS, sessions
from collector.lake.slices import DEFAULT_SIZES, incoming, key_at, slices, when
from collector.lake.store import ABSENT, Replacement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from collector.lake.journal import Journal
    from collector.lake.paths import Partition
    from collector.lake.slices import Key, Sizes, Slice
    from collector.lake.store import Staged, Store

LANDING = "collector.landing"
"""The footer note of a data file that names the landing which wrote it."""

REPLACED = "collector.replaced"
"""The footer note that names the landing of the version which was merged, empty where there was none."""


class _UnchangedError(Exception):
    """Drops what is being staged."""


@dataclass(slots=True)
class Changes:
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
    store: Store, partition: Partition, windows: pa.Table, content: Journal, sizes: Sizes = DEFAULT_SIZES
) -> tuple[Changes, Replacement | None]:
    """Merge the journal's windows into the partition, and stage it where something changed. Raises LakeError."""
    changes = Changes()
    entry = ParquetInput.open(store, partition.path)
    with entry or nullcontext():
        notes = {LANDING: content.origin.landing_id, REPLACED: entry.notes().get(LANDING, "") if entry else ""}
        existing = _Existing(_row_groups(entry, partition), _ids(partition))
        cuts = slices(partition, windows, _ids(partition), sizes.slice)
        arrivals = ((cut, incoming(store, content, partition, cut.windows)) for cut in cuts)
        pieces = _merged(existing, arrivals, _ids(partition), changes)
        held = _until_changed(pieces, changes, sizes.slice)
        staged = None if held is None else _stage(store, partition, chain(held, pieces), changes, notes, sizes)
    tag = ABSENT if entry is None else entry.tag
    return changes, Replacement(partition.path, staged, tag) if staged else None


def _merged(
    existing: _Existing, arrivals: Iterator[tuple[Slice, pa.Table]], ids: list[str], changes: Changes
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


def _until_changed(pieces: Iterator[pa.Table], changes: Changes, most: int) -> list[pa.Table] | None:
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
    changes: Changes,
    notes: Mapping[str, str],
    sizes: Sizes,
) -> Staged | None:
    """Stage the pieces; None where they turn out to be what is there already."""
    sorted_by = [*_ids(partition), when(partition.unit)]
    try:
        with staging(store, _written_schema(partition), sorted_by, notes) as writing:
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


class _Existing:
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


def _row_groups(entry: ParquetInput | None, partition: Partition) -> Iterator[pa.Table]:
    """The partition's rows with `bucket` (int32) in place of the date or hour."""
    if entry is None:
        return
    columns = sessions(partition.scope, partition.unit)
    name = when(partition.unit)
    for rows in entry.row_groups(columns, _texts(columns)):
        yield rows.set_column(columns.get_field_index(name), "bucket", instants.buckets(partition.unit, rows[name]))


def _with_instants(rows: pa.Table, partition: Partition) -> pa.Table:
    bucket = rows["bucket"]
    column = bucket.cast(pa.date32()) if when(partition.unit) == "date" else instants.hours(bucket)
    return rows.set_column(rows.column_names.index("bucket"), when(partition.unit), column).unify_dictionaries()


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
