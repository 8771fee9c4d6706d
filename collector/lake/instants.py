"""Columns of buckets as columns of instants and dates, in bulk: each distinct bucket is looked up in the zone once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.calendar import month_of, start_of
from collector.lake.schema import INSTANT
from collector.model import Unit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from zoneinfo import ZoneInfo

_MICROSECONDS = 3_600_000_000


def starts(units: pa.ChunkedArray, buckets: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    """The instant, in UTC, at which each bucket starts. `units`: text, `buckets`: int32, side by side."""
    is_hour = pc.equal(pc.cast(units, pa.string()), Unit.HOUR.value)
    by_day = _looked_up(buckets, pc.invert(is_hour), lambda bucket: start_of(Unit.DAY, bucket, zone), INSTANT)
    return pc.if_else(is_hour, hours(buckets), by_day)


def hours(buckets: pa.ChunkedArray) -> pa.ChunkedArray:
    """Hour buckets as timestamps."""
    return pc.multiply(pc.cast(buckets, pa.int64()), _MICROSECONDS).cast(INSTANT)


def buckets(unit: Unit, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of dates, or of timestamps in UTC, as bucket numbers (int32)."""
    if unit is Unit.DAY:
        return column.cast(pa.int32())
    return pc.divide(column.cast(pa.int64()), _MICROSECONDS).cast(pa.int32())


def dates(units: pa.ChunkedArray, buckets: pa.ChunkedArray) -> pa.ChunkedArray:
    """Day buckets as dates, null for hours."""
    is_day = pc.equal(pc.cast(units, pa.string()), Unit.DAY.value)
    return pc.if_else(is_day, pc.cast(buckets, pa.int32()).cast(pa.date32()), pa.scalar(None, pa.date32()))


def months(unit: Unit, buckets: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[date]]:
    """Which month each bucket is filed under, as a place in the list of months, which is sorted."""
    distinct = pc.unique(buckets).to_pylist()
    found = sorted({month_of(unit, bucket) for bucket in distinct})
    places = pa.array([found.index(month_of(unit, bucket)) for bucket in distinct], pa.int32())
    return places.take(pc.index_in(buckets, value_set=pa.array(distinct, buckets.type))), found


def _looked_up(
    buckets: pa.ChunkedArray, where: pa.ChunkedArray, answer: Callable[[int], object], kind: pa.DataType
) -> pa.ChunkedArray:
    distinct = pc.unique(buckets.filter(where))
    answers = pa.array([answer(bucket) for bucket in distinct.to_pylist()], kind)
    return answers.take(pc.index_in(buckets, value_set=distinct))
