from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import buckets
from collector.model import Span, Unit

NEW_YORK = ZoneInfo("America/New_York")
ZONES = st.sampled_from(sorted(zoneinfo.available_timezones())).map(ZoneInfo)
DAYS = st.integers(buckets.day_number(date(2000, 1, 1)), buckets.day_number(date(2037, 12, 31)))
INSTANTS = st.integers(0, 1_100_000_000).map(
    lambda second: datetime(2000, 1, 2, tzinfo=UTC) + timedelta(seconds=second)
)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 11, 2), 24)], ids=str
)
def test_a_day_is_as_long_as_the_zone_makes_it(day: date, hours: int) -> None:
    """A day in New York has 23 hours in spring, 25 in autumn, and 24 otherwise."""
    number = buckets.day_number(day)
    start, end = (buckets.start_of(Unit.DAY, bucket, NEW_YORK) for bucket in (number, number + 1))
    assert end - start == timedelta(hours=hours)
    assert len(buckets.span_of_dates(Unit.HOUR, day, day, NEW_YORK)) == hours


def test_a_day_whose_midnight_is_skipped_starts_at_the_first_instant_after_it() -> None:
    """Cairo skips midnight of 2026-04-24: that day starts at 01:00 local, and the day before ends there."""
    start = buckets.midnight(date(2026, 4, 24), ZoneInfo("Africa/Cairo"))
    assert start == datetime(2026, 4, 23, 22, tzinfo=UTC)
    assert start.astimezone(ZoneInfo("Africa/Cairo")).hour == 1


@given(ZONES, DAYS)
def test_days_follow_one_another(zone: ZoneInfo, day: int) -> None:
    """In every zone a day ends where the next one starts, and never before it started."""
    assert buckets.start_of(Unit.DAY, day, zone) <= buckets.start_of(Unit.DAY, day + 1, zone)
    assert buckets.date_of(buckets.day_number(buckets.date_of(day))) == buckets.date_of(day)


@given(ZONES, INSTANTS, st.timedeltas(timedelta(0), timedelta(hours=3)), st.sampled_from(Unit))
def test_the_newest_closed_bucket_is_the_last_that_has_settled(
    zone: ZoneInfo, now: datetime, settle: timedelta, unit: Unit
) -> None:
    """The newest closed bucket ended `settle` ago or earlier; the one after it has not."""
    stop = buckets.end_of_closed(unit, now, settle, zone)
    assert buckets.start_of(unit, stop, zone) + settle <= now < buckets.start_of(unit, stop + 1, zone) + settle


@given(ZONES, DAYS, st.sampled_from(Unit))
def test_ending_at_lies_in_the_last_second_of_the_last_bucket(zone: ZoneInfo, day: int, unit: Unit) -> None:
    """`ending_at` is one second before the bucket's end, whatever the zone does there, and has the zone's offset."""
    bucket = day if unit is Unit.DAY else day * 24 + 5
    at = buckets.request_end(unit, Span(bucket, bucket + 1), zone)
    assert at.astimezone(UTC) + timedelta(seconds=1) == buckets.start_of(unit, bucket + 1, zone)
    assert at.utcoffset() == at.astimezone(UTC).astimezone(zone).utcoffset()


def test_ending_at_of_a_day_looks_like_the_page_example() -> None:
    """The last second of a local day has that second's own offset, on the day of the change too."""
    day = buckets.day_number(date(2014, 12, 10))
    assert buckets.request_end(Unit.DAY, Span(day, day + 1), NEW_YORK).isoformat() == "2014-12-10T23:59:59-05:00"
    change = buckets.day_number(date(2026, 11, 1))
    assert buckets.request_end(Unit.DAY, Span(change, change + 1), NEW_YORK).isoformat() == "2026-11-01T23:59:59-05:00"


@given(ZONES, DAYS)
def test_the_hours_of_consecutive_dates_tile(zone: ZoneInfo, day: int) -> None:
    """The hours of one date end where those of the next begin, in zones of half hours too."""
    first, second = buckets.date_of(day), buckets.date_of(day + 1)
    one = buckets.span_of_dates(Unit.HOUR, first, first, zone)
    other = buckets.span_of_dates(Unit.HOUR, second, second, zone)
    assert one.stop == other.first
    assert buckets.span_of_dates(Unit.HOUR, first, second, zone) == Span(one.first, other.stop)


def test_hours_begin_with_the_first_whole_one_after_local_midnight() -> None:
    """Midnight in Kolkata is 18:30 UTC: the first hour of that date is 19:00 UTC."""
    span = buckets.span_of_dates(Unit.HOUR, date(2026, 11, 2), None, ZoneInfo("Asia/Kolkata"))
    assert buckets.format_bucket(Unit.HOUR, span.first) == "2026-11-01T19:00:00Z"


@given(DAYS, st.sampled_from(Unit))
def test_a_bucket_lies_in_the_month_it_is_filed_under(day: int, unit: Unit) -> None:
    """Each bucket is filed under exactly the month whose span holds it."""
    bucket = day if unit is Unit.DAY else day * 24 + 23
    month = buckets.month_of(unit, bucket)
    assert bucket in buckets.month_span(unit, month)
    assert month.day == 1
