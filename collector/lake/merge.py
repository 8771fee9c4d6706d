"""Columns of buckets as columns of instants and dates, in bulk: each distinct bucket is looked up in the zone once.

Answers into a partition: what is new, what is restated, what stays. Pure: tables in, tables out, rows in bulk.

A key (app_id, segment_id, bucket) stands once. A bucket that comes back unchanged leaves its row as it is; one with
another count gets it, with its revision grown by one; one that the answer leaves out stays. Text columns travel as
dictionaries, so a row costs a few bytes of memory whatever its ids hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.buckets import ceil_hour, day_number, month_of, start_of
from collector.lake.schema import INSTANT
from collector.model import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo


_MICROSECONDS = 3_600_000_000


def bucket_starts(units: pa.ChunkedArray, buckets: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    """The instant, in UTC, at which each bucket starts. `units`: text, `buckets`: int32, side by side."""
    is_hour = pc.equal(pc.cast(units, pa.string()), Unit.HOUR.value)
    by_day = _looked_up(buckets, pc.invert(is_hour), lambda bucket: start_of(Unit.DAY, bucket, zone), INSTANT)
    return pc.if_else(is_hour, hour_timestamps(buckets), by_day)


def buckets_starting_at(units: pa.ChunkedArray, starts: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    """The bucket (int32) that starts at each instant. Raises ValueError where none does."""
    is_hour = pc.equal(pc.cast(units, pa.string()), Unit.HOUR.value)
    by_hour, by_day = (
        _looked_up(starts, where, partial(_bucket_at, unit, zone), pa.int32())
        for unit, where in ((Unit.HOUR, is_hour), (Unit.DAY, pc.invert(is_hour)))
    )
    return pc.if_else(is_hour, by_hour, by_day)


def hour_timestamps(buckets: pa.ChunkedArray) -> pa.ChunkedArray:
    """Hour buckets as timestamps."""
    return pc.multiply(pc.cast(buckets, pa.int64()), _MICROSECONDS).cast(INSTANT)


def bucket_numbers(unit: Unit, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of dates, or of timestamps in UTC, as bucket numbers (int32)."""
    if unit is Unit.DAY:
        return column.cast(pa.int32())
    return pc.divide(column.cast(pa.int64()), _MICROSECONDS).cast(pa.int32())


def bucket_dates(units: pa.ChunkedArray, buckets: pa.ChunkedArray) -> pa.ChunkedArray:
    """Day buckets as dates, null for hours."""
    is_day = pc.equal(pc.cast(units, pa.string()), Unit.DAY.value)
    return pc.if_else(is_day, pc.cast(buckets, pa.int32()).cast(pa.date32()), pa.scalar(None, pa.date32()))


def bucket_months(unit: Unit, buckets: pa.ChunkedArray) -> list[date]:
    """The months that the buckets are filed under, in order."""
    return sorted({month_of(unit, bucket) for bucket in pc.unique(buckets).to_pylist()})


def _bucket_at(unit: Unit, zone: ZoneInfo, instant: datetime) -> int:
    bucket = ceil_hour(instant) if unit is Unit.HOUR else day_number(instant.astimezone(zone).date())
    if start_of(unit, bucket, zone) != instant:
        raise ValueError(f"{instant} starts no {unit} in {zone}")
    return bucket


def _looked_up(
    column: pa.ChunkedArray, where: pa.ChunkedArray, answer: Callable[[Any], object], kind: pa.DataType
) -> pa.ChunkedArray:
    distinct = pc.unique(column.filter(where))
    answers = pa.array([answer(value) for value in distinct.to_pylist()], kind)
    return answers.take(pc.index_in(column, value_set=distinct))


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


def series_ranks(tables: Sequence[pa.Table], ids: Sequence[str]) -> list[pa.Array]:
    """One int64 a row that sorts as the series does, by ids, absent ones first; comparable between the tables.

    Less than 2**31, so that `places` has room beside it for a bucket.
    """
    found: list[pa.Array] = [pa.repeat(pa.scalar(0, pa.int64()), table.num_rows) for table in tables]
    room = 1
    for name in ids:
        columns = [dictionary_encoded(table[name]) for table in tables]
        texts = pa.array(sorted({text for column in columns for text in column.dictionary.to_pylist()}), pa.string())
        for place, column in enumerate(columns):
            of_text = pc.cast(pc.add(pc.index_in(column.dictionary, value_set=texts), 1), pa.int64())
            rank = pc.fill_null(of_text.take(column.indices), 0)
            found[place] = pc.add(pc.multiply(found[place], len(texts) + 1), rank)
        room *= len(texts) + 1
    return found if room < BUCKETS // 2 else _dense_ranks(found)


def _dense_ranks(found: list[pa.Array]) -> list[pa.Array]:
    """The same order without its gaps: few of so many combinations of ids are there."""
    distinct = pc.unique(pa.chunked_array(found))
    in_order = distinct.take(pc.sort_indices(distinct))
    return [pc.cast(pc.index_in(each, value_set=in_order), pa.int64()) for each in found]


def _keys_of(tables: Sequence[pa.Table], ids: Sequence[str]) -> list[pa.Array]:
    """One int64 a row that sorts as (ids…, bucket) do."""
    return [row_keys(rank, table["bucket"]) for rank, table in zip(series_ranks(tables, ids), tables, strict=True)]


def row_keys(rank: pa.Array, buckets: pa.ChunkedArray) -> pa.Array:
    """One int64 a row, for a series' rank and a bucket: all series on one line, one behind the other."""
    return pc.add(pc.multiply(rank, BUCKETS), pc.cast(buckets.combine_chunks(), pa.int64()))


def dictionary_encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The column as one dictionary array."""
    whole = column.unify_dictionaries().combine_chunks()
    return whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
