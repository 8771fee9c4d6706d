"""What the endpoint answers, over real sockets."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collector.buckets import day_number
from collector.clock import SystemClock
from collector.config.settings import App, Secret, Segment, Workspace
from collector.model import Span, Unit
from collector.simulator.answers import key_of
from collector.simulator.options import Boundary, DayZone, HourFormat, Options, Order, PoolOptions
from collector.simulator.server import running
from collector.simulator.simulation import Simulation

NOON = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


def make_workspace(name: str = "acme", key: str | None = None, timezone: str = "America/New_York") -> Workspace:
    apps = (App("ios", f"{name}-ios"), App("android", f"{name}-android", start=date(2026, 11, 15)))
    segments = (Segment("vip", f"{name}-vip"), Segment("new", f"{name}-new"))
    secret = Secret(key) if key else None
    return Workspace(name, "http://127.0.0.1", ZoneInfo(timezone), secret, apps, segments)


def make_simulation(options: Options | None = None, timezone: str = "America/New_York") -> Simulation:
    return Simulation([make_workspace(timezone=timezone)], options or Options(), now=NOON)


def test_answers_hold_the_truth(client: Any) -> None:
    """A day series and an hour series over HTTP are the rows of `Simulation.rows`, in their documented form."""
    simulation = make_simulation()
    day, hour = day_number(date(2026, 10, 4)), day_number(date(2026, 9, 4)) * 24 + 3
    with running(simulation) as url:
        by_day = client.series(url, length=30, ending_at="2026-10-04T23:59:59-04:00", app_id="acme-ios")
        by_hour = client.series(url, length=100, unit="hour", ending_at="2026-09-04T03:59:59Z", segment_id="acme-vip")
    expected = simulation.rows("acme", key_of(Unit.DAY, "acme-ios", None), Span(day - 29, day + 1), NOON)
    assert by_day.rows == [
        ((date(1970, 1, 1) + timedelta(days=bucket)).isoformat(), count) for bucket, count in expected
    ]
    assert by_day.headers["content-type"] == "application/json"
    assert by_day.json["message"] == "success"
    expected = simulation.rows("acme", key_of(Unit.HOUR, None, "acme-vip"), Span(hour - 99, hour + 1), NOON)
    assert [count for _, count in by_hour.rows] == [count for _, count in expected]
    assert by_hour.rows[-1][0] == "2026-09-04T03:00:00+00:00"


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({}, "length"),
        ({"length": 0}, "length"),
        ({"length": 101}, "length"),
        ({"length": "ten"}, "length"),
        ({"length": 1.5}, "length"),
        ({"length": 1, "unit": "week"}, "unit"),
        ({"length": 1, "ending_at": "yesterday"}, "ending_at"),
        ({"length": 1, "ending_at": "0001-01-01"}, "ending_at"),
        ({"length": 1, "app_id": "none"}, "app_id"),
        ({"length": 1, "segment_id": "none"}, "segment_id"),
    ],
)
def test_a_bad_parameter_is_a_400(client: Any, query: dict[str, object], word: str) -> None:
    """Each rule of the reference page is checked; the message names the parameter; the quota headers are present."""
    with running(make_simulation()) as url:
        answer = client.series(url, **query)
    assert answer.status == 400
    assert word in answer.json["message"]
    assert answer.headers["x-ratelimit-remaining"] == "249999"


@pytest.mark.parametrize(
    "ending_at",
    ["2026-10-04T23:59:59-4:00", "2026-10-04T23:59:59-04:00", "2026-10-05T03:59:59", "2026-10-05T03:59:59Z"],
)
def test_one_instant_is_read_in_all_its_forms(client: Any, ending_at: str) -> None:
    """An offset may have a one-digit hour, as in Braze's examples; without an offset the instant is in UTC."""
    with running(make_simulation()) as url:
        assert client.series(url, length=1, ending_at=ending_at).rows[0][0] == "2026-10-04"


def test_the_default_end_is_now_and_its_bucket_is_partial(client: Any) -> None:
    """Without `ending_at` the series ends with the open bucket of the data clock."""
    simulation = make_simulation()
    with running(simulation) as url:
        before = client.series(url, length=1, unit="hour").rows
        simulation.now = NOON + timedelta(minutes=20)
        after = client.series(url, length=1, unit="hour").rows
    assert before[0][0] == after[0][0] == "2026-11-23T12:00:00+00:00"
    assert before[0][1] < after[0][1]


def test_a_wrong_key_is_echoed_with_empty_limits(client: Any) -> None:
    """A 401 repeats the key and has empty quota headers, as the real API does."""
    with running(make_simulation()) as url:
        for key, echoed in (("wrong", "wrong"), (None, ""), ('"simulated-acme"', '"simulated-acme"')):
            answer = client.series(url, key, length=1)
            assert answer.status == 401
            assert answer.json == {"message": f"Invalid API key: {echoed}"}
            assert answer.headers["x-ratelimit-limit"] == answer.headers["x-ratelimit-reset"] == ""


def test_a_key_may_travel_in_the_query(client: Any) -> None:
    """`api_key` in the query works as documented, and is not in the request log."""
    simulation = make_simulation()
    with running(simulation) as url:
        assert client.series(url, None, length=1, api_key="simulated-acme").status == 200
    assert simulation.request_log.entries[0].parameters == (("length", "1"),)


def test_a_key_opens_its_own_workspace_alone(client: Any) -> None:
    """The key selects the workspace: apps of another workspace are unknown, and a key without permission gets a 403."""
    two = [make_workspace(), make_workspace("beta", key="k-beta")]
    with running(Simulation(two, Options(denied=frozenset({"acme"})), now=NOON)) as url:
        assert client.series(url, "k-beta", length=1, app_id="beta-ios").status == 200
        assert client.series(url, "k-beta", length=1, app_id="acme-ios").status == 400
        assert client.series(url, length=1).status == 403


def test_unknown_paths_and_methods_are_refused(client: Any) -> None:
    """Any other path is a 404 and any other method a 405."""
    with running(make_simulation()) as url:
        assert client.request(url, "/sessions/data").status == 404
        assert client.request(url, "/sessions/data_series", "POST", length=1).status == 405


def test_a_used_up_quota_is_a_429_until_the_next_period(client: Any) -> None:
    """Requests of others count, the 429 has no Retry-After by default, and the next period restores the quota."""
    clock = ManualClock(7200 - 1)
    simulation = Simulation([make_workspace()], Options(pool=PoolOptions(limit=10)), now=NOON, clock=clock)
    with running(simulation) as url:
        simulation.spend("acme", 9)
        last, empty = client.series(url, length=1), client.series(url, length=1)
        clock.seconds += 1
        again = client.series(url, length=1)
    assert (last.status, last.headers["x-ratelimit-remaining"]) == (200, "0")
    # A second from now, by the clock that `Date` has.
    assert (empty.status, int(empty.headers["x-ratelimit-reset"])) == (429, int(NOON.timestamp()) + 1)
    assert "retry-after" not in empty.headers
    assert (again.status, again.headers["x-ratelimit-remaining"]) == (200, "9")
    assert int(again.headers["x-ratelimit-reset"]) == int(NOON.timestamp()) + 3600


def test_each_workspace_has_its_own_quota(client: Any) -> None:
    """The used-up quota of one workspace does not affect another, and can be refilled early."""
    options = Options(pool=PoolOptions(limit=5, retry_after_seconds=3))
    simulation = Simulation([make_workspace(), make_workspace("beta")], options, now=NOON)
    simulation.spend("acme", 5)
    with running(simulation) as url:
        empty = client.series(url, length=1)
        assert (empty.status, empty.headers["retry-after"]) == (429, "3")
        assert client.series(url, "simulated-beta", length=1).status == 200
        simulation.workspace("acme").quota.refill()
        assert client.series(url, length=1).status == 200


def test_untracked_segments_answer_zeros(client: Any) -> None:
    """An untracked segment is not an error: every bucket is zero, and the segment list shows it as untracked."""
    with running(make_simulation(Options(untracked=frozenset({"new"})))) as url:
        rows = client.series(url, length=5, segment_id="acme-new", app_id="acme-ios").rows
        segments = client.request(url, "/segments/list").json["segments"]
        assert client.request(url, "/segments/list", page=1).json["segments"] == []
        assert client.request(url, "/segments/list", page="x").status == 400
    assert [count for _, count in rows] == [0] * 5
    assert {one["name"]: one["analytics_tracking_enabled"] for one in segments} == {"vip": True, "new": False}


def test_segments_come_a_hundred_a_page(client: Any) -> None:
    """101 segments come as pages of 100, 1 and 0."""
    segments = tuple(Segment(f"s{number}", f"id{number}") for number in range(101))
    workspace = Workspace("acme", "http://127.0.0.1", ZoneInfo("UTC"), segments=segments)
    with running(Simulation([workspace])) as url:
        pages = [client.request(url, "/segments/list", page=page).json["segments"] for page in range(3)]
    assert [len(page) for page in pages] == [100, 1, 0]


def test_dead_ids_are_400s(client: Any) -> None:
    """A dead app or segment is unknown to the API."""
    with running(make_simulation(Options(dead=frozenset({"ios", "acme-vip"})))) as url:
        assert client.series(url, length=1, app_id="acme-ios").status == 400
        assert client.series(url, length=1, segment_id="acme-vip").status == 400
        assert client.series(url, length=1, app_id="acme-android").status == 200


def test_an_app_has_no_points_before_its_start(client: Any) -> None:
    """With `young` an app has no points before its own start; without it, it has them."""
    with running(make_simulation()) as url:
        rows = client.series(url, length=30, app_id="acme-android").rows
    assert [rows[0][0], len(rows)] == ["2026-11-15", 9]
    with running(make_simulation(Options(young=False))) as url:
        assert len(client.series(url, length=30, app_id="acme-android").rows) == 30


@pytest.mark.parametrize(
    ("hour_format", "text"),
    [
        (HourFormat.NAIVE, "2026-11-20T04:00:00"),
        (HourFormat.NAIVE_LOCAL, "2026-11-20T09:30:00"),
        (HourFormat.Z, "2026-11-20T04:00:00Z"),
        (HourFormat.OFFSET, "2026-11-20T04:00:00+00:00"),
        (HourFormat.LOCAL_OFFSET, "2026-11-20T09:30:00+05:30"),
        (HourFormat.FRACTION, "2026-11-20T04:00:00.000Z"),
    ],
)
def test_hours_are_written_as_chosen(client: Any, hour_format: HourFormat, text: str) -> None:
    """Each hour format writes the same hour in its own way."""
    with running(make_simulation(Options(hour_format=hour_format), "Asia/Kolkata")) as url:
        assert client.series(url, length=1, unit="hour", ending_at="2026-11-20T04:59:59Z").rows[0][0] == text


@pytest.mark.parametrize(("boundary", "day"), [(Boundary.INCLUSIVE, "2026-11-20"), (Boundary.EXCLUSIVE, "2026-11-19")])
def test_an_end_on_a_boundary_is_read_as_chosen(client: Any, boundary: Boundary, day: str) -> None:
    """An exact midnight includes the day that starts there, or not; one second earlier both give the same day."""
    with running(make_simulation(Options(boundary=boundary))) as url:
        assert client.series(url, length=1, ending_at="2026-11-20T00:00:00-05:00").rows[0][0] == day
        assert client.series(url, length=1, ending_at="2026-11-19T23:59:59-05:00").rows[0][0] == "2026-11-19"


def test_points_may_be_shuffled_and_have_more_fields(client: Any) -> None:
    """Shuffled order and extra fields do not change the counts."""
    with running(make_simulation()) as url:
        plain = client.series(url, length=50).rows
    options = Options(order=Order.SHUFFLED, extra_fields=True, day_zone=DayZone.WORKSPACE)
    with running(make_simulation(options)) as url:
        shuffled = client.series(url, length=50)
    assert shuffled.rows != plain
    assert sorted(shuffled.rows) == plain
    assert set(shuffled.json["data"][0]) > {"time", "sessions"}


def test_a_change_is_seen_by_the_next_request(client: Any) -> None:
    """Bodies are cached, yet restated and withheld buckets and a moved clock show in the next answer."""
    simulation = make_simulation()
    key = key_of(Unit.DAY, "acme-ios", None)
    day = day_number(date(2026, 11, 20))
    with running(simulation) as url:
        query = {"length": 2, "ending_at": "2026-11-21T23:59:59-05:00", "app_id": "acme-ios"}
        before = client.series(url, **query).rows
        simulation.restate("acme", key, {day: 5})
        simulation.withhold("acme", key, {day + 1})
        assert client.series(url, **query).rows == [("2026-11-20", 5)]
        simulation.now = NOON + timedelta(days=1)
        hours = {"length": 100, "unit": "hour", "ending_at": "2026-11-22T23:59:59Z", "app_id": "acme-ios"}
        first = client.series(url, **hours).rows
        simulation.now = NOON + timedelta(days=2)
        then = client.series(url, **hours).rows
    assert len(before) == 2
    assert first != then


def test_options_that_name_nothing_are_refused() -> None:
    """A misspelt name, a shared key, a naive clock or a quota of zero raises an error that names it."""
    with pytest.raises(ValueError, match="segment 'vipp'"):
        make_simulation(Options(untracked=frozenset({"vipp"})))
    with pytest.raises(ValueError, match="same key"):
        Simulation([make_workspace(key="k"), make_workspace("beta", key="k")])
    with pytest.raises(ValueError, match="aware"):
        make_simulation().now = datetime(2026, 1, 1)  # noqa: DTZ001 - the mistake itself
    with pytest.raises(ValueError, match="at least 1"):
        PoolOptions(limit=0)
    with pytest.raises(KeyError):
        make_simulation().spend("nobody", 1)


class ManualClock(SystemClock):
    """A clock for the quota that the test moves."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)
