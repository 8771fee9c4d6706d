"""Bucket numbers to instants and dates, and back: days in a workspace's time zone, hours in UTC. Pure.

In and out: bucket numbers (see `model.py`), dates, aware datetimes, a zone. No clock is read here.
A day starts at its local midnight or, where a change of the clocks skips midnight, at the first instant after it. So a
day has 23, 24 or 25 hours (or whatever the zone did), and days follow each other without a gap or an overlap.
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
    """The first hour bucket that starts at or after the instant."""
    # Floor division of the negated difference, negated again: it rounds up, without floats.
    return -((EPOCH - instant) // _HOUR)


def end_of_closed(unit: Unit, now: datetime, settle: timedelta, zone: ZoneInfo) -> int:
    """One past the newest closed bucket: a bucket is closed once its end, and `settle` after it, have passed."""
    # The bucket that contains `settled` is the first that is not closed, so its number is the result.
    settled = now - settle
    if unit is Unit.HOUR:
        return (settled - EPOCH) // _HOUR
    today = day_number(settled.astimezone(zone).date())
    # Where the clocks change at midnight, a local date can begin before the date ahead of it has ended.
    return max(day for day in (today - 1, today, today + 1) if start_of(unit, day, zone) <= settled)


def span_of_dates(unit: Unit, first: date | None, last: date | None, zone: ZoneInfo) -> Span:
    """The buckets of the local dates `first` to `last`, both included; None leaves that side open.

    The hours of a date are those that start within it: in zones with half-hour offsets an hour belongs to the date in
    which it starts.
    """
    return Span(
        _boundary(unit, first, zone) if first is not None else _FIRST[unit],
        _boundary(unit, last + timedelta(days=1), zone) if last is not None else _STOP[unit],
    )


def _boundary(unit: Unit, day: date, zone: ZoneInfo) -> int:
    return day_number(day) if unit is Unit.DAY else ceil_hour(midnight(day, zone))


def request_end(unit: Unit, span: Span, zone: ZoneInfo) -> datetime:
    """The last second of the span's last bucket, in the zone: the `ending_at` of its request.

    Whether the API reads `ending_at` as inclusive or exclusive, this instant means the same bucket. The form is that of
    the reference page's example.
    """
    # Wall-clock arithmetic ignores changes of the clocks, so the second is subtracted in UTC and then shown in the
    # zone.
    last_second = start_of(unit, span.stop, zone) - timedelta(seconds=1)
    return last_second.astimezone(zone)


def month_of(unit: Unit, bucket: int) -> date:
    """The first day of the month in whose partition the bucket's row is: of the local date, or of the UTC hour."""
    day = date_of(bucket) if unit is Unit.DAY else start_of(unit, bucket, _UTC_ZONE).date()
    return day.replace(day=1)


def month_span(unit: Unit, month: date) -> Span:
    """All buckets whose rows are in the partition of a month, which is given as its first day."""
    # 31 days after the first of a month is always a day of the next month. Hours are grouped by UTC, where each day has
    # 24, so an hour's number is 24 times its day's, plus the hour.
    following = (month + timedelta(days=31)).replace(day=1)
    per_day = 1 if unit is Unit.DAY else 24
    return Span(day_number(month) * per_day, day_number(following) * per_day)


def format_bucket(unit: Unit, bucket: int) -> str:
    """A bucket as text: `2026-11-01` or `2026-11-01T05:00:00Z`."""
    if unit is Unit.DAY:
        return date_of(bucket).isoformat()
    return f"{start_of(unit, bucket, _UTC_ZONE):%Y-%m-%dT%H:%M:%SZ}"


_UTC_ZONE = ZoneInfo("UTC")
# The bounds of an open side. No bucket is negative, which the sort keys of the lake rely on. The newest date leaves
# room for the start of the next day in any zone before `datetime` overflows.
_FIRST = {Unit.DAY: day_number(date(1970, 1, 1)), Unit.HOUR: 0}
_STOP = {Unit.DAY: day_number(date(9999, 12, 30)), Unit.HOUR: day_number(date(9999, 12, 30)) * 24}
