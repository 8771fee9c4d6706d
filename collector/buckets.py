"""Days in a workspace's zone and hours in UTC: buckets to instants and back.

In: bucket numbers (see `model.py`), dates, aware datetimes, a zone. Out: the same. Pure; no clock is read here.
A day starts at its local midnight; where a change of the clocks skips midnight, at the first instant after it. So a day
is 23, 24 or 25 hours long (or what else the zone did), and days follow one another without gap or overlap.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from collector.model import Span, Unit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_HOUR = timedelta(hours=1)


def day_number(day: date) -> int:
    """The bucket of a calendar date."""
    return day.toordinal() - _EPOCH_DAY


def date_of(bucket: int) -> date:
    """The calendar date of a day bucket."""
    return date.fromordinal(bucket + _EPOCH_DAY)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which the local day starts."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def start_of(unit: Unit, bucket: int, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which the bucket starts; its end is the start of the next."""
    if unit is Unit.DAY:
        return midnight(date_of(bucket), zone)
    return EPOCH + bucket * _HOUR


def ceil_hour(instant: datetime) -> int:
    """The first hour bucket that does not start before the instant."""
    return -((EPOCH - instant) // _HOUR)


def end_of_closed(unit: Unit, now: datetime, settle: timedelta, zone: ZoneInfo) -> int:
    """One past the newest closed bucket: those whose end, and `settle` after it, have passed at `now`."""
    settled = now - settle
    if unit is Unit.HOUR:
        return (settled - EPOCH) // _HOUR
    today = day_number(settled.astimezone(zone).date())
    # Around a change of the clocks at midnight a local date can begin before the one ahead of it has ended.
    return max(day for day in (today - 1, today, today + 1) if start_of(unit, day, zone) <= settled)


def span_of_dates(unit: Unit, first: date | None, last: date | None, zone: ZoneInfo) -> Span:
    """The buckets of the local dates `first` to `last`, both included; None leaves that side open.

    The hours of a date are those that start within it, so a zone's half hours belong to the date they began in.
    """
    return Span(
        _boundary(unit, first, zone) if first is not None else _FIRST[unit],
        _boundary(unit, last + timedelta(days=1), zone) if last is not None else _STOP[unit],
    )


def _boundary(unit: Unit, day: date, zone: ZoneInfo) -> int:
    return day_number(day) if unit is Unit.DAY else ceil_hour(midnight(day, zone))


def request_end(unit: Unit, span: Span, zone: ZoneInfo) -> datetime:
    """The last second of the span's last bucket, in the zone: what a request asks for.

    Both readings of `ending_at` (inclusive or not) and of the zone agree there; see the reference page's example.
    """
    last_second = start_of(unit, span.stop, zone) - timedelta(seconds=1)  # in UTC: wall clocks do not subtract
    return last_second.astimezone(zone)


def month_of(unit: Unit, bucket: int) -> date:
    """The first day of the month that a bucket's row is filed under: the local date's, or the UTC hour's."""
    day = date_of(bucket) if unit is Unit.DAY else start_of(unit, bucket, _UTC_ZONE).date()
    return day.replace(day=1)


def month_span(unit: Unit, month: date) -> Span:
    """All buckets filed under a month, which is given as its first day."""
    following = (month + timedelta(days=31)).replace(day=1)
    per_day = 1 if unit is Unit.DAY else 24
    return Span(day_number(month) * per_day, day_number(following) * per_day)


def format_bucket(unit: Unit, bucket: int) -> str:
    """A bucket as text: `2026-11-01` or `2026-11-01T05:00:00Z`."""
    if unit is Unit.DAY:
        return date_of(bucket).isoformat()
    return f"{start_of(unit, bucket, _UTC_ZONE):%Y-%m-%dT%H:%M:%SZ}"


_UTC_ZONE = ZoneInfo("UTC")
_FIRST = {Unit.DAY: day_number(date(1970, 1, 1)), Unit.HOUR: 0}
_STOP = {Unit.DAY: day_number(date(9999, 12, 30)), Unit.HOUR: day_number(date(9999, 12, 30)) * 24}
