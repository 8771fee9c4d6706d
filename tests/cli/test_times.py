from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.buckets import span_of_dates
from collector.cli.types import DATE, FIRST_INSTANT, INSTANT, LAST_INSTANT, next_time
from collector.model import Unit
from collector.plan import plan
from tests.support.builders import make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE = timedelta(minutes=1)
ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # half an hour
    "Africa/Cairo",  # midnight is skipped
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Pacific/Apia",  # 2011-12-30 is skipped
    "Antarctica/Troll",  # two hours
    "America/Scoresbysund",
)


def first_shown(wall: time_of_day, now: datetime, zone: ZoneInfo) -> datetime:
    """By watching the clock each minute: when it shows the time, or has jumped over it."""
    at = now.replace(second=0, microsecond=0)
    while True:
        before, at = at.astimezone(zone).replace(tzinfo=None), at + MINUTE
        shown = at.astimezone(zone).replace(tzinfo=None)
        skipped = before + MINUTE
        while skipped <= shown and skipped.time() != wall:
            skipped += MINUTE
        if shown.time() == wall or skipped <= shown:
            return at


def changes(zone: ZoneInfo) -> list[datetime]:
    """Hours around which the zone's offset changes, and a plain one."""
    hours = [datetime(2010, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(0, 24 * 365 * 3, 6)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    return [hours[0], *(hours[n] for n in range(1, len(hours)) if offsets[n] != offsets[n - 1])]


CHANGES = [(name, at) for name in ZONES for at in changes(ZoneInfo(name))]


@given(
    st.sampled_from(CHANGES),
    st.integers(-30 * 60, 8 * 60),
    st.integers(0, 59),
    st.times(max_value=time_of_day(23, 59)).map(lambda wall: wall.replace(second=0, microsecond=0)),
)
@example(("Pacific/Apia", datetime(2011, 12, 30, 12, tzinfo=UTC)), -600, 0, time_of_day(6))
def test_a_deadline_is_the_first_time_that_the_clock_shows_it(
    change: tuple[str, datetime], minutes: int, seconds: int, wall: time_of_day
) -> None:
    """In any zone, around any change of its clocks: a skipped time is the jump, a repeated one the first to come."""
    zone, now = ZoneInfo(change[0]), change[1] + timedelta(minutes=minutes, seconds=seconds)
    found = next_time(wall, now, zone)
    assert found == first_shown(wall, now, zone)
    assert timedelta() < found - now <= timedelta(hours=26)


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's zone is that of New York."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize(
    ("now", "wall", "expected"),
    [
        ("2026-03-08T06:30:00+00:00", time_of_day(2, 30), "2026-03-08T07:00:00+00:00"),  # skipped: 01:59 EST, 03:00 EDT
        ("2026-03-08T07:00:00+00:00", time_of_day(2, 30), "2026-03-09T06:30:00+00:00"),
        ("2026-11-01T05:00:00+00:00", time_of_day(1, 30), "2026-11-01T05:30:00+00:00"),  # repeated: first EDT
        ("2026-11-01T05:30:00+00:00", time_of_day(1, 30), "2026-11-01T06:30:00+00:00"),  # then EST
        ("2026-11-01T06:30:00+00:00", time_of_day(1, 30), "2026-11-02T06:30:00+00:00"),
        ("2026-07-01T10:30:00+00:00", time_of_day(6, 30), "2026-07-02T10:30:00+00:00"),  # now is not to come
    ],
)
def test_the_zone_of_this_machine_is_used(now: str, wall: time_of_day, expected: str) -> None:
    """Without a zone, the machine's own decides."""
    assert next_time(wall, datetime.fromisoformat(now), None) == datetime.fromisoformat(expected)


@given(st.text(max_size=30) | st.datetimes(timezones=st.timezones()).map(datetime.isoformat) | st.dates().map(str))
@example("9999-12-31T23:59:59-05:00")
@example("0001-01-01T00:00:00+05:00")
@example("1960-01-01T00:00Z")
@example("9999-12-31")
@example("1969-12-31")
def test_any_text_is_within_bounds_or_a_usage_error(text: str) -> None:
    """What an option accepts as an instant or a date can be planned with, in any zone; all else is a usage error."""
    for kind in (INSTANT, DATE):
        try:
            value = kind.convert(text, None, None)
        except click.BadParameter as error:
            assert "write" in error.message or "add Z" in error.message  # noqa: PT017  # a value is as good
            continue
        if isinstance(value, datetime):
            assert FIRST_INSTANT <= value <= LAST_INSTANT
        else:
            for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
                assert span_of_dates(Unit.HOUR, value, value, ZoneInfo(zone))


@pytest.mark.parametrize("as_of", [FIRST_INSTANT, LAST_INSTANT])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_bounds_can_be_planned(as_of: datetime, zone: str) -> None:
    """At both ends of the range there is a plan, with the longest lookback and `settle`."""
    workspace = make_workspace(
        timezone=ZoneInfo(zone), lookback={Unit.DAY: 400, Unit.HOUR: 9600}, settle=timedelta(days=3660)
    )
    windows = plan(workspace, {}, as_of)
    assert all(window.span.first > 0 for window in windows)
