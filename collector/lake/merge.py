"""Answers into a partition: what is new, what is restated, what stays. Pure: tables in, tables out, rows in bulk.

A key (app_id, segment_id, bucket) stands once. A bucket that comes back unchanged leaves its row as it is; one with
another count gets it, with its revision grown by one; one that the answer leaves out stays. Text columns travel as
dictionaries, so a row costs a few bytes of memory whatever its ids hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKETS = 1 << 32
"""Bucket numbers are 32-bit: a place on the line is the series' rank times this, plus the bucket."""


@dataclass(frozen=True, slots=True)
class Merged:
    """`rows`: the whole partition, sorted; None where nothing changed. `restated`: see `restated_rows`."""

    rows: pa.Table | None
    restated: pa.Table
    added: int
    unchanged: int


def merge(existing: pa.Table, incoming: pa.Table, ids: Sequence[str]) -> Merged:
    """Merge answers into a partition.

    existing: the partition's rows with `bucket` (int32) in place of its date or hour; incoming: the same columns, with
    revision 0. Both are sorted by their keys, and hold each once. ids: those of app_id and segment_id that the table
    has, in order.
    restated: the incoming rows that change a row, with its old_sessions, previous_collected_at and the new revision.
    """
    if not existing.num_rows:
        return Merged(incoming, _restate(incoming.slice(0, 0), existing), incoming.num_rows, 0)
    existing_keys, incoming_keys = _keys_of([existing, incoming], ids)
    rows_met = pc.index_in(incoming_keys, value_set=existing_keys)
    known = pc.is_valid(rows_met)
    old = existing.take(rows_met.filter(known))
    met = incoming.filter(known)
    differs = pc.not_equal(met["sessions"], old["sessions"])
    restated = _restate(met.filter(differs), old.filter(differs))
    added = incoming.filter(pc.invert(known))
    unchanged = met.num_rows - restated.num_rows
    if not added.num_rows and not restated.num_rows:
        return Merged(None, restated, 0, unchanged)
    replaced = incoming_keys.filter(known).filter(differs.combine_chunks())
    kept = existing.filter(pc.invert(pc.is_in(existing_keys, value_set=replaced)))
    rows = pa.concat_tables([kept, restated.select(existing.column_names), added]).unify_dictionaries()
    return Merged(_sorted(rows, ids), restated, added.num_rows, unchanged)


def _restate(new: pa.Table, old: pa.Table) -> pa.Table:
    revision = pc.cast(pc.add(old["revision"], 1), pa.int32())
    return (
        new.set_column(new.column_names.index("revision"), "revision", revision)
        .append_column("old_sessions", old["sessions"])
        .append_column("previous_collected_at", old["collected_at"])
    )


def _sorted(rows: pa.Table, ids: Sequence[str]) -> pa.Table:
    (keys,) = _keys_of([rows], ids)
    return rows.take(pc.sort_indices(keys))


def ranks(tables: Sequence[pa.Table], ids: Sequence[str]) -> list[pa.Array]:
    """One int64 a row that sorts as the series does, by ids, absent ones first; comparable between the tables.

    Less than 2**31, so that `places` has room beside it for a bucket.
    """
    found: list[pa.Array] = [pa.repeat(pa.scalar(0, pa.int64()), table.num_rows) for table in tables]
    room = 1
    for name in ids:
        columns = [encoded(table[name]) for table in tables]
        texts = pa.array(sorted({text for column in columns for text in column.dictionary.to_pylist()}), pa.string())
        for place, column in enumerate(columns):
            of_text = pc.cast(pc.add(pc.index_in(column.dictionary, value_set=texts), 1), pa.int64())
            rank = pc.fill_null(of_text.take(column.indices), 0)
            found[place] = pc.add(pc.multiply(found[place], len(texts) + 1), rank)
        room *= len(texts) + 1
    return found if room < BUCKETS // 2 else _closed_up(found)


def _closed_up(found: list[pa.Array]) -> list[pa.Array]:
    """The same order without its gaps: few of so many combinations of ids are there."""
    distinct = pc.unique(pa.chunked_array(found))
    in_order = distinct.take(pc.sort_indices(distinct))
    return [pc.cast(pc.index_in(each, value_set=in_order), pa.int64()) for each in found]


def _keys_of(tables: Sequence[pa.Table], ids: Sequence[str]) -> list[pa.Array]:
    """One int64 a row that sorts as (ids…, bucket) do."""
    return [places(rank, table["bucket"]) for rank, table in zip(ranks(tables, ids), tables, strict=True)]


def places(rank: pa.Array, buckets: pa.ChunkedArray) -> pa.Array:
    """One int64 a row, for a series' rank and a bucket: all series on one line, one behind the other."""
    return pc.add(pc.multiply(rank, BUCKETS), pc.cast(buckets.combine_chunks(), pa.int64()))


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The column as one dictionary array."""
    whole = column.unify_dictionaries().combine_chunks()
    return whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
