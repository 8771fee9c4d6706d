"""Starting and stopping the server, the control endpoints, and the request log."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from collector.buckets import day_number
from collector.config.settings import App, Segment, Workspace
from collector.model import Unit
from collector.simulator.answers import key_of
from collector.simulator.options import Options
from collector.simulator.server import running, serve
from collector.simulator.simulation import Simulation

NOON = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
HEADERS = {"Authorization": "Bearer simulated-acme"}


def make_simulation(options: Options | None = None) -> Simulation:
    workspace = Workspace(
        "acme",
        "http://127.0.0.1",
        ZoneInfo("America/New_York"),
        apps=(App("ios", "a-ios"),),
        segments=(Segment("vip", "s-vip"),),
    )
    return Simulation([workspace], options or Options(), now=NOON)


def test_it_binds_to_loopback_only(client: Any) -> None:
    """A host that other machines can reach is refused, unless `allow_remote` is set."""
    for host in ("0.0.0.0", "192.168.1.4", "example.com", "::"):  # noqa: S104 - refused
        with pytest.raises(ValueError, match="other machines"), running(make_simulation(), host):
            raise AssertionError(host)
    with running(make_simulation(), "localhost") as url:
        assert client.series(url.replace("localhost", "127.0.0.1"), length=1).status == 200

    async def serve_remote() -> str:
        async with serve(make_simulation(), "0.0.0.0", allow_remote=True) as url:  # noqa: S104 - allowed here
            return url

    assert asyncio.run(serve_remote()).startswith("http://0.0.0.0:")


def test_a_port_in_use_is_reported(client: Any) -> None:
    """Starting on a port in use raises OSError in the caller's thread and leaves the first server alone."""
    with running(make_simulation()) as url:
        port = int(url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="address already in use"), running(make_simulation(), port=port):
            raise AssertionError(port)
        assert client.series(url, length=1).status == 200


def test_it_stops_at_once_during_a_slow_answer() -> None:
    """Leaving `serve` closes the connection of a request that has no answer yet, and does not wait for the answer."""

    async def stop_during_an_answer() -> int:
        simulation = make_simulation(Options(latency_ms=(60_000, 60_000)))
        async with aiohttp.ClientSession() as session:
            async with serve(simulation) as url:
                request = asyncio.create_task(session.get(f"{url}/sessions/data_series?length=1", headers=HEADERS))
                while not simulation.request_log.in_flight:  # noqa: ASYNC110 - the log has no event to wait for
                    await asyncio.sleep(0)
            with pytest.raises(aiohttp.ClientError):
                await request
        return simulation.request_log.requests

    assert asyncio.run(asyncio.wait_for(stop_during_an_answer(), 10)) == 1


def test_many_requests_at_once() -> None:
    """Concurrent requests are all answered, and the log counts how many were in flight."""
    simulation = make_simulation(Options(latency_ms=(20, 30)))

    async def ask_many() -> list[int]:
        async with serve(simulation) as url, aiohttp.ClientSession(headers=HEADERS) as session:

            async def ask(number: int) -> int:
                async with session.get(f"{url}/sessions/data_series?length={number + 1}") as answer:
                    assert len((await answer.json())["data"]) == number + 1
                    return answer.status

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(number)) for number in range(100)]
            return [task.result() for task in tasks]

    assert asyncio.run(ask_many()) == [200] * 100
    assert simulation.request_log.by_outcome == {"200": 100}
    assert 1 < simulation.request_log.most_in_flight <= 100
    assert simulation.request_log.in_flight == 0
    assert 1 < simulation.request_log.busiest_second <= 100


def test_the_clock_moves_over_http(client: Any) -> None:
    """The control endpoint pins the data clock, and releases it again."""
    simulation = make_simulation()
    with running(simulation) as url:
        moved = client.request(url, "/_simulator/now", "PUT", at="2026-12-01T00:00:00+00:00")
        assert moved.json == {"now": "2026-12-01T00:00:00+00:00"}
        assert simulation.now == datetime(2026, 12, 1, tzinfo=UTC)
        assert client.request(url, "/_simulator/now").json == moved.json
        client.request(url, "/_simulator/now", "PUT", at="real")
    assert not simulation.pinned


def test_the_truth_is_served_over_http(client: Any) -> None:
    """By names or ids, for days or hours, at any instant: the rows that an answer would hold."""
    simulation = make_simulation()
    with running(simulation) as url:
        query = {"workspace": "acme", "app": "ios", "segment": "s-vip", "from": "2026-11-10", "to": "2026-11-12"}
        days = client.request(url, "/_simulator/truth", **query).json["rows"]
        hours = client.request(url, "/_simulator/truth", unit="hour", **query).json["rows"]
        later = client.request(url, "/_simulator/truth", at="2027-01-01T00:00:00Z", **query).json
        answered = client.series(
            url, length=3, ending_at="2026-11-12T23:59:59-05:00", app_id="a-ios", segment_id="s-vip"
        ).rows
    assert [(row["bucket"], row["sessions"]) for row in days] == answered
    assert hours[0]["bucket"] == "2026-11-10T05:00:00Z"
    assert sum(row["sessions"] for row in hours) == sum(row["sessions"] for row in days)
    assert later["at"] == "2027-01-01T00:00:00+00:00"


def test_stats_count_requests(client: Any) -> None:
    """Requests are counted by status and workspace; control requests are not counted, and no key is kept."""
    simulation = make_simulation()
    with running(simulation) as url:
        client.series(url, length=1)
        client.series(url, length=0)
        client.series(url, "secret", length=1)
        stats = client.request(url, "/_simulator/stats").json
        logged = client.request(url, "/_simulator/requests")
        cleared = client.request(url, "/_simulator/stats", "DELETE").json
    assert stats["by_status"] == {"200": 1, "400": 1, "401": 1}
    assert (stats["requests"], stats["by_workspace"]) == (3, {"acme": 2})
    assert stats["pool_remaining"] == {"acme": 249_998}
    assert logged.json["requests"][1] == {
        "workspace": "acme", "path": "/sessions/data_series", "parameters": {"length": "0"}, "outcome": "400"
    }  # fmt: skip
    assert b"secret" not in logged.body
    assert cleared["requests"] == 0


def test_the_simulation_changes_over_http(client: Any) -> None:
    """A test in another process can change quota, counts and faults."""
    simulation = make_simulation()
    with running(simulation) as url:
        spent = client.request(url, "/_simulator/spend", "POST", workspace="acme", requests=249_999)
        refilled = client.request(url, "/_simulator/refill", "POST", workspace="acme")
        for unit, bucket in (("day", "2026-11-20"), ("hour", "2026-11-20T05:00:00Z")):
            restated = client.request(
                url, "/_simulator/restate", "PUT", workspace="acme", app="ios", unit=unit, bucket=bucket, sessions=9
            )
            assert restated.status == 200
        client.request(url, "/_simulator/faults", "PUT", rates="503=1", first_attempts=1)
        assert [client.series(url, length=1).status for _ in range(2)] == [503, 200]
    assert (spent.json, refilled.json) == ({"remaining": 1}, {"remaining": 250_000})
    day = day_number(date(2026, 11, 20))
    assert simulation.truth("acme", key_of(Unit.DAY, "a-ios", None), day) == 9
    assert simulation.truth("acme", key_of(Unit.HOUR, "a-ios", None), day * 24 + 5) == 9


@pytest.mark.parametrize(
    ("path", "query", "word"),
    [
        ("truth", {}, "workspace="),
        ("truth", {"workspace": "beta"}, "acme"),
        ("truth", {"workspace": "acme", "app": "web"}, "ios"),
        ("truth", {"workspace": "acme", "unit": "week"}, "day or hour"),
        ("truth", {"workspace": "acme", "from": "monday"}, "2026-11-01"),
        ("truth", {"workspace": "acme", "from": "2026-11-02", "to": "2026-11-01"}, "2026-11-01"),
    ],
)
def test_control_mistakes_are_explained(client: Any, path: str, query: dict[str, object], word: str) -> None:
    """A mistake at a control endpoint is a 400 that says what to write."""
    with running(make_simulation()) as url:
        answer = client.request(url, f"/_simulator/{path}", **query)
        assert client.request(url, "/_simulator/nothing").status == 404
        put = client.request(url, "/_simulator/restate", "PUT", workspace="acme", bucket="2026-11-01", sessions="x")
    assert answer.status == put.status == 400
    assert word in answer.json["message"]


def test_without_a_pinned_clock_time_passes() -> None:
    """By default the data clock is the real one."""
    workspace = Workspace("acme", "http://127.0.0.1", ZoneInfo("UTC"))
    simulation = Simulation([workspace])
    assert abs(simulation.now - datetime.now(UTC)) < timedelta(minutes=1)
