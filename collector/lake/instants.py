"""Columns of buckets as columns of instants and dates, in bulk: each distinct bucket is looked up in the zone once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.calendar import day_number, month_of, start_of, whole_hour_at_or_after
from collector.lake.schema import INSTANT
from collector.model import Unit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

_MICROSECONDS = 3_600_000_000


def starts(units: pa.ChunkedArray, buckets: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    """The instant, in UTC, at which each bucket starts. `units`: text, `buckets`: int32, side by side."""
    is_hour = pc.equal(pc.cast(units, pa.string()), Unit.HOUR.value)
    by_day = _looked_up(buckets, pc.invert(is_hour), lambda bucket: start_of(Unit.DAY, bucket, zone), INSTANT)
    return pc.if_else(is_hour, hours(buckets), by_day)


def starting_at(units: pa.ChunkedArray, starts: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    """The bucket (int32) that starts at each instant. Raises ValueError where none does."""
    is_hour = pc.equal(pc.cast(units, pa.string()), Unit.HOUR.value)
    by_hour, by_day = (
        _looked_up(starts, where, partial(_bucket_at, unit, zone), pa.int32())
        for unit, where in ((Unit.HOUR, is_hour), (Unit.DAY, pc.invert(is_hour)))
    )
    return pc.if_else(is_hour, by_hour, by_day)


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


def months(unit: Unit, buckets: pa.ChunkedArray) -> list[date]:
    """The months that the buckets are filed under, in order."""
    return sorted({month_of(unit, bucket) for bucket in pc.unique(buckets).to_pylist()})


def _bucket_at(unit: Unit, zone: ZoneInfo, instant: datetime) -> int:
    bucket = whole_hour_at_or_after(instant) if unit is Unit.HOUR else day_number(instant.astimezone(zone).date())
    if start_of(unit, bucket, zone) != instant:
        raise ValueError(f"{instant} starts no {unit} in {zone}")
    return bucket


def _looked_up(
    column: pa.ChunkedArray, where: pa.ChunkedArray, answer: Callable[[Any], object], kind: pa.DataType
) -> pa.ChunkedArray:
    distinct = pc.unique(column.filter(where))
    answers = pa.array([answer(value) for value in distinct.to_pylist()], kind)
    return answers.take(pc.index_in(column, value_set=distinct))
