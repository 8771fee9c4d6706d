"""The text of a point's `time` as a bucket number. Pure.

Reference page: an ISO 8601 date for days, "ISO 8601 extended" for hours. The suffix of an hour is not documented, so
all that can be read in one way only is accepted: `Z`, an offset, or none (then `naive_hours` of the config says how).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from collector.calendar import EPOCH, day_number
from collector.config.settings import NaiveHours
from collector.model import Unit

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_HOUR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)"
    r"(?::(\d\d)(?:[.,](\d{1,12}))?)?"
    r"(?:(Z)|([+-])(?:(\d\d?):(\d\d)|(\d\d)(\d\d)))?",
    re.ASCII,
)
_ONE_HOUR = timedelta(hours=1)


def bucket_of(unit: Unit, text: str, zone: ZoneInfo, naive_hours: NaiveHours) -> int:
    """The bucket that the text names.

    Raises:
        ValueError: with the reason, where it names none, or none for certain.

    """
    try:
        return _day(text) if unit is Unit.DAY else _hour(text, zone, naive_hours)
    except OverflowError:
        raise ValueError("it lies outside the calendar") from None


def _day(text: str) -> int:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("it is no date such as 2026-11-01")
    year, month, day = match.groups()
    return day_number(date(int(year), int(month), int(day)))


def _hour(text: str, zone: ZoneInfo, naive_hours: NaiveHours) -> int:
    match = _HOUR.fullmatch(text)
    if match is None:
        raise ValueError("it is no hour such as 2026-11-01T05:00:00Z")
    year, month, day, hour, minute, second, fraction, *suffix = match.groups()
    if fraction is not None and int(fraction):
        raise ValueError("it lies on no whole hour")
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC)
    bucket, beyond = divmod(_instant(local, suffix, zone, naive_hours) - EPOCH, _ONE_HOUR)
    if beyond:
        raise ValueError("it lies on no whole hour")
    return bucket


def _instant(local: datetime, suffix: list[str | None], zone: ZoneInfo, naive_hours: NaiveHours) -> datetime:
    """The wall-clock reading with its zone: the suffix's own, else the one that the config tells."""
    zulu, sign, *digits = suffix
    if sign is not None:
        hours, minutes = (int(text) for text in digits if text is not None)
        offset = timedelta(hours=hours, minutes=minutes)
        if minutes >= 60 or offset >= timedelta(days=1):
            raise ValueError("its offset is none")
        return local.replace(tzinfo=timezone(-offset if sign == "-" else offset))
    if zulu is not None or naive_hours is NaiveHours.UTC:
        return local
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        raise ValueError(f"without an offset it names two hours of {zone.key}, or none")
    return first
