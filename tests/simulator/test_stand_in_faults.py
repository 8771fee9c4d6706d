"""Injected faults: which attempts get one, and what a client sees."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from collector.config.settings import App, Workspace
from collector.simulator.options import Fault, FaultDraw, Faults, Options, parse_rates
from collector.simulator.server import running, serve
from collector.simulator.simulation import Simulation

NOON = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
QUERY = {"length": "10", "ending_at": "2026-11-20T23:59:59Z"}


def make_simulation(rates: dict[Fault, float], options: Options | None = None, **more: Any) -> Simulation:
    workspace = Workspace("acme", "http://127.0.0.1", ZoneInfo("UTC"), apps=(App("ios", "a-ios"),))
    return Simulation([workspace], options or Options(), faults=Faults(rates, **more), now=NOON)


def always(fault: Fault, **more: Any) -> Simulation:
    return make_simulation({fault: 1.0}, **more)


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "within"),
    [
        (Fault.SERVER_ERROR, 500, "application/json", b"Internal server error"),
        (Fault.UNAVAILABLE, 503, "text/html", b"<html>"),
        (Fault.TOO_MANY, 429, "application/json", b"Rate limit"),
        (Fault.QUEUED, 202, "application/json", b"queued"),
        (Fault.HTML, 200, "text/html", b"<html>"),
        (Fault.NO_DATA, 200, "application/json", b'{"message":"success"}'),
        (Fault.NOT_SUCCESS, 200, "application/json", b"could not be completed"),
        (Fault.SLOW, 200, "application/json", b"success"),
    ],
)
def test_each_fault_has_its_reply(client: Any, fault: Fault, status: int, content_type: str, within: bytes) -> None:
    """Each injected failure has the documented status, content type, body and quota headers."""
    with running(always(fault, slow_seconds=0.01)) as url:
        answer = client.series(url, **QUERY)
    assert (answer.status, answer.headers["content-type"]) == (status, content_type)
    assert within in answer.body
    assert answer.headers["x-ratelimit-remaining"] == "249999"


def test_an_injected_429_may_have_retry_after(client: Any) -> None:
    """Retry-After has the configured seconds, or is absent."""
    with running(always(Fault.TOO_MANY, retry_after_seconds=7)) as url:
        assert client.series(url, **QUERY).headers["retry-after"] == "7"
    with running(always(Fault.TOO_MANY, retry_after_seconds=None)) as url:
        assert "retry-after" not in client.series(url, **QUERY).headers


def test_a_truncated_body_is_not_valid_json(client: Any) -> None:
    """A truncated answer is a complete HTTP response with half of the JSON."""
    with running(always(Fault.TRUNCATED)) as url:
        body = client.series(url, **QUERY).body
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_connections_break(caplog: pytest.LogCaptureFixture) -> None:
    """A reset closes the connection without an answer, a cut body ends before its Content-Length; nothing is logged."""
    for fault, error, outcome in (
        (Fault.RESET, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError), "reset"),
        (Fault.CUT, (aiohttp.ClientPayloadError,), "cut"),
    ):
        simulation = always(fault)
        with pytest.raises(error):
            asyncio.run(fetch(simulation))
        assert simulation.request_log.by_outcome == {outcome: 1}
    assert not caplog.records


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        (Fault.FRACTIONAL, lambda first, right: first["sessions"] == right + 0.5),
        (Fault.NEGATIVE, lambda first, _right: first["sessions"] < 0),
        (Fault.TEXT, lambda first, right: first["sessions"] == str(right)),
        (Fault.OFF_BUCKET, lambda first, _right: "T00:30" in first["time"]),
    ],
)
def test_the_first_point_is_wrong(client: Any, fault: Fault, wrong: Any) -> None:
    """The first point has the wrong type or time; all others are correct."""
    right = client_rows(client, make_simulation({}))
    with running(always(fault)) as url:
        data = client.series(url, **QUERY).json["data"]
    assert wrong(data[0], right[0][1])
    assert [(point["time"], point["sessions"]) for point in data[1:]] == right[1:]


def test_hours_go_off_their_bucket(client: Any) -> None:
    """An hour off its bucket is a half hour."""
    with running(always(Fault.OFF_BUCKET)) as url:
        assert client.series(url, unit="hour", **QUERY).rows[0][0] == "2026-11-20T14:30:00+00:00"


def test_odd_points_are_added(client: Any) -> None:
    """Points outside the window, alone or with the correct ones; one point twice, with the same count or another."""
    right = client_rows(client, make_simulation({}))
    outside, elsewhere, repeated, conflict = (
        client_rows(client, always(fault)) for fault in (Fault.OUTSIDE, Fault.ELSEWHERE, Fault.REPEATED, Fault.CONFLICT)
    )
    assert outside == elsewhere + right
    assert not set(elsewhere) & set(right)
    assert repeated == [*right, right[-1]]
    assert conflict == [*right, (right[-1][0], right[-1][1] + 1)]


def test_an_answer_without_points_stays_correct(client: Any) -> None:
    """A fault that changes a point leaves an answer without points as it is."""
    with running(always(Fault.TEXT)) as url:
        assert client.series(url, length=1, ending_at="2027-11-20T23:59:59Z").json == {"message": "success", "data": []}


def test_the_same_attempts_fail_each_time() -> None:
    """Faults depend on seed, request and attempt alone, not on the order of the requests."""
    requests = [("acme", (("length", str(number)),)) for number in range(1, 100)]
    one, other, third = (FaultDraw(Faults({Fault.SERVER_ERROR: 0.3}), seed) for seed in (1, 1, 2))
    forward = {request: one.draw(request) for request in requests}
    backward = {request: other.draw(request) for request in reversed(requests)}
    assert forward == backward
    assert forward != {request: third.draw(request) for request in requests}


def test_rates_are_met() -> None:
    """Over many requests each fault has its share."""
    draw = FaultDraw(Faults({Fault.SERVER_ERROR: 0.2, Fault.RESET: 0.1}), 0)
    drawn = Counter(draw.draw(number) for number in range(4000))
    assert 700 < drawn[Fault.SERVER_ERROR] < 900
    assert 330 < drawn[Fault.RESET] < 470


def test_only_first_attempts_fail(client: Any) -> None:
    """With `first_attempts` at 2, a request that always fails succeeds the third time."""
    with running(always(Fault.SERVER_ERROR, first_attempts=2)) as url:
        assert [client.series(url, **QUERY).status for _ in range(4)] == [500, 500, 200, 200]


def test_faults_can_be_changed_while_serving(client: Any) -> None:
    """New rates apply to the next request."""
    simulation = always(Fault.UNAVAILABLE)
    with running(simulation) as url:
        assert client.series(url, **QUERY).status == 503
        simulation.faults = Faults()
        assert client.series(url, **QUERY).status == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("500", "write NAME=RATE"),
        ("rest=0.1", "did you mean reset"),
        ("500=much", "a number from 0 to 1"),
        ("500=0.1,500=0.1", "appears twice"),
        ("500=1.5", "from 0 to 1"),
        ("500=nan", "from 0 to 1"),
        ("500=0.7,503=0.7", "add up to 1.4"),
    ],
)
def test_mistaken_rates_are_explained(text: str, message: str) -> None:
    """The error for each mistake in a list of rates says what to write."""
    with pytest.raises(ValueError, match=message):
        Faults(parse_rates(text))


def test_rates_are_read() -> None:
    """A list of rates may have spaces and a trailing comma."""
    assert parse_rates(" 500=0.05, reset = 0.5,") == {Fault.SERVER_ERROR: 0.05, Fault.RESET: 0.5}


def client_rows(client: Any, simulation: Simulation) -> Any:
    with running(simulation) as url:
        return client.series(url, **QUERY).rows


async def fetch(simulation: Simulation) -> bytes:
    # Without aiohttp's own retry of idempotent requests, which would hide a dropped connection.
    async with serve(simulation) as url, aiohttp.ClientSession() as session:
        session._retry_connection = False
        headers = {"Authorization": "Bearer simulated-acme"}
        async with session.get(f"{url}/sessions/data_series", params=QUERY, headers=headers) as answer:
            return await answer.read()
