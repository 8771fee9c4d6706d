"""Merge answers into a partition's rows, in bulk: Arrow tables in, Arrow tables out, pure.

A key (event, app_id, segment_id, bucket) occurs once in a partition. `merge` sorts out which answers add a row, which
restate one, and which change nothing. Below it are the integers that series and rows are sorted by, and columns of
buckets as columns of dates and instants. Nothing is done row by row, and text columns are dictionaries, so that a row
takes a few bytes of memory however long its ids are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.buckets import month_of, start_of
from collector.lake.tables import INSTANT
from collector.model import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

BUCKET_RANGE = 1 << 32
"""Bucket numbers are 32-bit: a row's key is its series' rank times this, plus its bucket."""

# Arrow infers the type of a Python literal, and casts, at each call: that takes longer than the sum of a small column.
_RANK = pa.scalar(BUCKET_RANGE, pa.int64())
_MICROSECONDS = pa.scalar(3_600_000_000, pa.int64())  # in an hour
_ONE = pa.scalar(1, pa.int32())
_NONE = pa.scalar(0, pa.int64())
_NO_DATE = pa.scalar(None, pa.date32())
_DAY, _HOUR = (pa.scalar(unit.value, pa.string()) for unit in (Unit.DAY, Unit.HOUR))


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge.

    `rows`: all rows of the partition, sorted by key; None where nothing changed.
    `restated`: the answers that restate a row, with two more columns: old_value and previous_collected_at.
    `added`, `unchanged`: how many answers had no row, and how many found their own value.
    """

    rows: pa.Table | None
    restated: pa.Table
    added: int
    unchanged: int


def merge(existing: pa.Table, answers: pa.Table, ids: Sequence[str]) -> Merged:
    """Merge answers into rows of a partition.

    existing: rows of the partition, with `bucket` (int32) in place of the date or hour, and `value` in place of the
        column that is named as the metric.
    answers: the same columns, with revision 0.
    ids: the id columns of the table, in order.
    Both are sorted by key, with each key once. A row without an answer stays as it is.
    """
    if not existing.num_rows:
        # The answers are sorted already, and there is nothing to compare them with. The empty slice has the columns of
        # `restated`.
        return Merged(answers, _restate(answers.slice(0, 0), existing), answers.num_rows, 0)

    # Each answer's row, by key: null where there is none. Keys of both tables come from one call, since ranks of two
    # calls do not compare. Each key occurs once in each table, so an answer matches one row at most. `matched` and
    # `old` are parallel from here on.
    existing_keys, answer_keys = _sort_keys([existing, answers], ids)
    positions = pc.index_in(answer_keys, value_set=existing_keys)
    has_row = pc.is_valid(positions)
    old = existing.take(positions.filter(has_row))
    matched = answers.filter(has_row)
    differs = pc.not_equal(matched["value"], old["value"])
    restated = _restate(matched.filter(differs), old.filter(differs))
    added = answers.filter(pc.invert(has_row))
    unchanged = matched.num_rows - restated.num_rows
    if not added.num_rows and not restated.num_rows:
        return Merged(None, restated, 0, unchanged)

    # A row whose answer has the same value is kept, not replaced: it keeps its revision and its collected_at. Therefore
    # the same journal merged a second time changes nothing.
    replaced = answer_keys.filter(has_row).filter(differs.combine_chunks())
    kept = existing.filter(pc.invert(pc.is_in(existing_keys, value_set=replaced)))
    # No key is in two of the three: an added one had no row, and a restated one is not in `kept`. So each key occurs
    # once again.
    rows = pa.concat_tables([kept, restated.select(existing.column_names), added]).unify_dictionaries()
    (keys,) = _sort_keys([rows], ids)
    return Merged(rows.take(pc.sort_indices(keys)), restated, added.num_rows, unchanged)


def _restate(new: pa.Table, old: pa.Table) -> pa.Table:
    """The new rows with the revision after the old one's, and what the old rows said."""
    # `new` and `old` are parallel: the same keys in the same order.
    revision = pc.add(old["revision"], _ONE)
    return (
        new.set_column(new.column_names.index("revision"), "revision", revision)
        .append_column("old_value", old["value"])
        .append_column("previous_collected_at", old["collected_at"])
    )


def _sort_keys(tables: Sequence[pa.Table], ids: Sequence[str]) -> list[pa.Array]:
    """The key of each row of each table (see `row_keys`)."""
    return [row_keys(rank, table["bucket"]) for rank, table in zip(series_ranks(tables, ids), tables, strict=True)]


def row_keys(rank: pa.Array, buckets: pa.ChunkedArray) -> pa.Array:
    """One int64 for each row, which sorts as (series, bucket) does. `rank` is from `series_ranks`.

    It is the row's position on a line on which all series follow one another, each with room for every bucket.
    """
    return pc.add(pc.multiply(rank, _RANK), pc.cast(buckets.combine_chunks(), pa.int64()))


def series_ranks(tables: Sequence[pa.Table], ids: Sequence[str]) -> list[pa.Array]:
    """One int64 for each row, which sorts as the columns `ids` do, nulls first; ranks of all the tables compare.

    A rank is below 2**31, so that `row_keys` can put a bucket behind it.
    """
    # A number with one digit for each id column. A digit is the text's position among the sorted texts of all tables,
    # or 0 for null. So only the distinct texts are compared and sorted, never the rows.
    ranks: list[pa.Array] = [pa.repeat(pa.scalar(0, pa.int64()), table.num_rows) for table in tables]
    combinations = 1
    for name in ids:
        columns = [dictionary_encoded(table[name]) for table in tables]
        distinct = sorted({text for column in columns for text in column.dictionary.to_pylist()})
        if not distinct or (len(distinct) == 1 and not any(column.null_count for column in columns)):
            continue  # the same digit in each row orders nothing
        texts, base = pa.array(distinct, pa.string()), pa.scalar(len(distinct) + 1, pa.int64())
        for number, column in enumerate(columns):
            # From the dictionary's index to the digit, and then for each row. A null row has a null index, and becomes
            # 0, so nulls sort first.
            digits = pc.cast(pc.add(pc.index_in(column.dictionary, value_set=texts), _ONE), pa.int64())
            digit = digits.take(column.indices)
            digit = digit.fill_null(_NONE) if digit.null_count else digit
            ranks[number] = pc.add(pc.multiply(ranks[number], base), digit)
        combinations *= len(texts) + 1
    # As the digits are 0 to len(texts), ranks are 0 to combinations - 1. Most partitions have few enough series that
    # the numbers can stay as they are, which saves a sort.
    return ranks if combinations < BUCKET_RANGE // 2 else _dense_ranks(ranks)


def _dense_ranks(ranks: list[pa.Array]) -> list[pa.Array]:
    """The same order, numbered without gaps: of all combinations of ids, few exist."""
    distinct = pc.unique(pa.chunked_array(ranks))
    in_order = distinct.take(pc.sort_indices(distinct))
    return [pc.cast(pc.index_in(each, value_set=in_order), pa.int64()) for each in ranks]


def dictionary_encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The column as one dictionary array."""
    array = column.unify_dictionaries().combine_chunks()
    return array if pa.types.is_dictionary(array.type) else array.dictionary_encode()


def bucket_starts(units: pa.ChunkedArray, buckets: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    """The instant (UTC) at which each bucket starts. `units` (text) and `buckets` (int32) are parallel."""
    is_hour = pc.equal(pc.cast(units, pa.string()), _HOUR)
    # `if_else` picks from two complete columns. What each has for rows of the other unit is never used: `_look_up`
    # calls its function for its own unit only, so an hour's number never reaches the calendar as a day's.
    by_day = _look_up(buckets, pc.invert(is_hour), lambda bucket: start_of(Unit.DAY, bucket, zone), INSTANT)
    return pc.if_else(is_hour, hour_timestamps(buckets), by_day)


def hour_timestamps(buckets: pa.ChunkedArray) -> pa.ChunkedArray:
    """The instant (UTC) at which each hour bucket starts."""
    return pc.multiply(pc.cast(buckets, pa.int64()), _MICROSECONDS).cast(INSTANT)


def bucket_numbers(unit: Unit, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates, or starts of hours in UTC, as bucket numbers (int32)."""
    if unit is Unit.DAY:
        return column.cast(pa.int32())
    return pc.divide(column.cast(pa.int64()), _MICROSECONDS).cast(pa.int32())


def bucket_dates(units: pa.ChunkedArray, buckets: pa.ChunkedArray) -> pa.ChunkedArray:
    """The date of each day bucket; null for hours."""
    is_day = pc.equal(pc.cast(units, pa.string()), _DAY)
    return pc.if_else(is_day, pc.cast(buckets, pa.int32()).cast(pa.date32()), _NO_DATE)


def bucket_months(unit: Unit, buckets: pa.ChunkedArray) -> list[date]:
    """The months of the partitions that the buckets belong to, each once, sorted."""
    return sorted({month_of(unit, bucket) for bucket in pc.unique(buckets).to_pylist()})


def _look_up(
    column: pa.ChunkedArray, where: pa.ChunkedArray, function: Callable[[Any], object], kind: pa.DataType
) -> pa.ChunkedArray:
    """The function's result for each value of a column, called once for each distinct value that occurs at `where`.

    Time zones are Python code, and a table has a few thousand distinct days in millions of rows.
    """
    distinct = pc.unique(column.filter(where))
    results = pa.array([function(value) for value in distinct.to_pylist()], kind)
    return results.take(pc.index_in(column, value_set=distinct))
