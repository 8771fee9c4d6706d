"""The counts: they add up, are positive, and are restated."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.buckets import ceil_hour, day_number
from collector.config.settings import App, Segment, Workspace
from collector.model import SeriesKey, Span, Unit
from collector.simulator.answers import key_of
from collector.simulator.options import NEVER_LATE, DayZone, LateOptions, Options
from collector.simulator.simulation import Simulation
from collector.simulator.traffic import Traffic, hours_of

ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]
NOON = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
LONG_AGO = Span(day_number(date(2026, 10, 1)), day_number(date(2026, 10, 31)))


def make_simulation(zone: str = "America/New_York", options: Options | None = None) -> Simulation:
    apps = (App("ios", "a-ios"), App("android", "a-android"))
    segments = (Segment("vip", "s-vip"),)
    workspace = Workspace("acme", "http://127.0.0.1", ZoneInfo(zone), apps=apps, segments=segments)
    return Simulation([workspace], options or Options(), now=NOON)


def total(simulation: Simulation, key: SeriesKey, span: Span, at: datetime = NOON) -> float:
    return sum(count for _, count in simulation.rows("acme", key, span, at))


instants = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - naive bounds
numbers = st.one_of(st.integers(-12, 0), st.integers(-400, 0))


@given(zone=st.sampled_from(ZONES), at=instants, back=numbers, app=st.sampled_from(["a-ios", None]),
       segment=st.sampled_from(["s-vip", None]))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_parts_of_a_day_add_up_to_it(zone: str, at: datetime, back: int, app: str | None, segment: str | None) -> None:
    """At every instant the quarter hours of a local day add up to the day, in zones of half hours and changing days."""
    simulation = make_simulation(zone)
    workspace = simulation.workspace("acme")
    day = day_number(at.astimezone(workspace.zone).date()) + back
    key = key_of(Unit.DAY, app, segment)
    day_count = simulation.truth("acme", key, day, at) or 0  # None for a day that starts at this very instant
    edges = [hours_of(datetime.combine(date.fromordinal(719163 + day + more), datetime.min.time(), workspace.zone))
             for more in (0, 1)]  # fmt: skip
    quarters = [edges[0] + step / 4 for step in range(round((edges[1] - edges[0]) * 4) + 1)]
    totals = [
        traffic.known_sessions(quarters, hours_of(at), fraction) for traffic, fraction in workspace.traffic_of(key)
    ]
    parts = [sum(row[index + 1] - row[index] for row in totals) for index in range(len(quarters) - 1)]
    assert sum(parts) == day_count
    assert min(parts) >= 0


@given(zone=st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Asia/Tokyo"]), at=instants)
@settings(max_examples=60, deadline=None)
def test_hours_add_up_to_days(zone: str, at: datetime) -> None:
    """Where days begin on the hour, the hours that the API reports add up to its days, restated or not, DST or not."""
    simulation = make_simulation(zone)
    tz = ZoneInfo(zone)
    last = at.astimezone(tz).date()
    for app in ("a-ios", None):
        for back in (0, 1, 5, 20):
            day = last - timedelta(days=back)
            edges = [
                ceil_hour(datetime.combine(one, datetime.min.time(), tz).astimezone(UTC))
                for one in (day, day + timedelta(days=1))
            ]
            number = day_number(day)
            hours = total(simulation, key_of(Unit.HOUR, app, None), Span(*edges), at)
            assert hours == total(simulation, key_of(Unit.DAY, app, None), Span(number, number + 1), at)


@given(bucket=st.integers(-10_000, 600_000), seed=st.integers(0, 50))
@settings(max_examples=150, deadline=None)
def test_sessions_are_never_negative(bucket: int, seed: int) -> None:
    """Each hour has a positive rate, for each seed and in each year."""
    traffic = Traffic(seed, App("x", "x"), ZoneInfo("UTC"), NEVER_LATE, young=False)
    assert traffic.cumulative(bucket + 0.25) > traffic.cumulative(float(bucket))


@given(earlier=instants, days=st.floats(0, 12), back=st.integers(0, 300))
@settings(max_examples=100, deadline=None)
def test_counts_only_rise(earlier: datetime, days: float, back: int) -> None:
    """As the clock moves on, a count of an hour never falls."""
    simulation = make_simulation()
    key = key_of(Unit.HOUR, "a-ios", "s-vip")
    hour = int(hours_of(earlier)) - back
    before = simulation.truth("acme", key, hour, earlier) or 0
    assert before <= (simulation.truth("acme", key, hour, earlier + timedelta(days=days)) or 0)


def test_the_workspace_is_the_sum_of_its_apps() -> None:
    """All-app series add up the apps, with and without a segment."""
    simulation = make_simulation()
    for segment in ("s-vip", None):
        apps = [total(simulation, key_of(Unit.DAY, app, segment), LONG_AGO) for app in ("a-ios", "a-android")]
        assert sum(apps) == total(simulation, key_of(Unit.DAY, None, segment), LONG_AGO)


def test_a_segment_is_a_part_of_its_app() -> None:
    """A segment has some of its app's sessions and never all of them."""
    simulation = make_simulation()
    every = simulation.rows("acme", key_of(Unit.HOUR, "a-ios", None), Span(490_000, 490_500))
    some = simulation.rows("acme", key_of(Unit.HOUR, "a-ios", "s-vip"), Span(490_000, 490_500))
    assert all(0 < part < all_users for (_, part), (_, all_users) in zip(some, every, strict=True))


def test_nights_are_quieter_than_days() -> None:
    """The busiest hour of a day has several times the sessions of the quietest."""
    hours = make_simulation().rows("acme", key_of(Unit.HOUR, "a-ios", None), Span(490_000, 490_024))
    counts = [count for _, count in hours]
    assert max(counts) > 3 * min(counts) > 0


def test_some_buckets_restate_until_late_sessions_end() -> None:
    """From one day to the next some closed hours rise and others stay; after the late days none changes."""
    simulation = make_simulation()
    key = key_of(Unit.HOUR, "a-ios", None)
    stop = int(hours_of(NOON))
    recent = Span(stop - 240, stop)
    first, then = (simulation.rows("acme", key, recent, NOON + timedelta(days=days)) for days in (0, 1))
    changed = sum(one != other for one, other in zip(first, then, strict=True))
    assert 20 < changed < 200
    assert simulation.rows("acme", key, recent, NOON + timedelta(days=11)) == simulation.rows(
        "acme", key, recent, NOON + timedelta(days=90)
    )


def test_closed_buckets_do_not_change_within_a_day() -> None:
    """Between two runs of one local day no closed bucket restates."""
    simulation = make_simulation()
    key = key_of(Unit.HOUR, "a-ios", None)
    stop = int(hours_of(NOON))
    recent = Span(stop - 300, stop)
    assert simulation.rows("acme", key, recent) == simulation.rows("acme", key, recent, NOON + timedelta(hours=9))


@pytest.mark.parametrize("late", [NEVER_LATE, LateOptions(share=0.0)])
def test_without_late_sessions_nothing_restates(late: LateOptions) -> None:
    """Without late sessions a bucket is complete when it closes."""
    simulation = make_simulation(options=Options(late=late))
    key = key_of(Unit.HOUR, None, None)
    span = Span(int(hours_of(NOON)) - 100, int(hours_of(NOON)))
    assert simulation.rows("acme", key, span) == simulation.rows("acme", key, span, NOON + timedelta(days=30))


def test_an_open_bucket_is_partial_and_the_future_is_absent() -> None:
    """The open bucket has the sessions so far; the next bucket is not reported."""
    simulation = make_simulation()
    key = key_of(Unit.HOUR, "a-ios", None)
    hour = int(hours_of(NOON))
    now, later = (simulation.truth("acme", key, hour, NOON + timedelta(minutes=more)) for more in (0, 25))
    assert now is not None
    assert later is not None
    assert 0 < now < later
    assert simulation.truth("acme", key, hour + 1) is None


def test_the_seed_decides_all_counts() -> None:
    """The same seed gives the same counts in another process's simulation, another seed others."""
    key = key_of(Unit.DAY, "a-ios", None)
    first, again = (make_simulation().rows("acme", key, LONG_AGO) for _ in range(2))
    assert first == again
    assert first != make_simulation(options=Options(seed=1)).rows("acme", key, LONG_AGO)


def test_days_can_be_cut_in_utc() -> None:
    """With `day_zone` at UTC a day is the sum of its 24 UTC hours, whatever the workspace's zone."""
    simulation = make_simulation("Asia/Kolkata", Options(day_zone=DayZone.UTC))
    day = LONG_AGO.first
    hours = total(simulation, key_of(Unit.HOUR, "a-ios", None), Span(day * 24, day * 24 + 24))
    assert simulation.truth("acme", key_of(Unit.DAY, "a-ios", None), day) == hours


def test_withheld_buckets_are_absent_and_restated_ones_have_the_given_count() -> None:
    """Single buckets of one series can be changed; other series keep theirs."""
    simulation = make_simulation()
    key = key_of(Unit.DAY, "a-ios", None)
    other = simulation.rows("acme", key_of(Unit.DAY, None, None), LONG_AGO)
    simulation.restate("acme", key, {LONG_AGO.first: 4242})
    simulation.withhold("acme", key, [LONG_AGO.first + 1])
    rows = dict(simulation.rows("acme", key, LONG_AGO))
    assert rows[LONG_AGO.first] == 4242
    assert LONG_AGO.first + 1 not in rows
    assert simulation.rows("acme", key_of(Unit.DAY, None, None), LONG_AGO) == other


def test_a_share_of_the_buckets_may_be_absent() -> None:
    """With `absent_share` 0.2, about a fifth of the buckets is left out, and the rest keep their counts."""
    full = make_simulation().rows("acme", key_of(Unit.HOUR, "a-ios", None), Span(480_000, 481_000))
    some = make_simulation(options=Options(absent_share=0.2)).rows(
        "acme", key_of(Unit.HOUR, "a-ios", None), Span(480_000, 481_000)
    )
    assert 700 < len(some) < 900
    assert set(some) < set(full)
