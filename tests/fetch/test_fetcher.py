from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from collector.api.errors import ConnectionLostError, RetryableError
from collector.api.transport import Response
from collector.config.settings import Retry
from collector.fetch.stop import StopRequest
from collector.model import Answered, Failed, Outcome, Skipped
from tests.support.virtual import (
    KEY,
    START,
    FetchRun,
    FixedThrottle,
    VirtualBraze,
    body_for,
    collect,
    make_windows,
    make_workspace,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collector.api.request import Request


def failing(status: int, body: bytes = b"{}", **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


def kinds(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def test_every_window_is_answered_in_the_given_order() -> None:
    """A sound server answers each window once, and they are requested in the order given."""
    server = VirtualBraze(latency=0.0)
    windows = make_windows(40)
    outcomes = collect(server, windows, workspace=make_workspace(concurrency=1))
    assert [outcome.window for outcome in outcomes] == windows
    first = outcomes[0]
    assert isinstance(first, Answered)
    assert list(first.buckets) == list(range(498_000, 498_010))
    assert list(first.values) == list(range(10))
    assert (first.attempts, first.http_status, first.requested_at) == (1, 200, START)


def test_concurrency_is_reached_and_never_passed() -> None:
    """As many requests are in flight as the config says, once the first answer of the hour has shown the quota."""
    server = VirtualBraze()
    collect(server, make_windows(200))
    assert server.most_in_flight == 8
    early = [at for at, _ in server.requests[:2]]
    assert early[1] - early[0] > server.latency / 2, "the second request went before the first was answered"


def test_a_401_stops_its_workspace_and_no_other() -> None:
    """A 401 stops its workspace and no other; it costs one request, and the key that it echoes is not reported."""
    bad = VirtualBraze(fault=lambda *_: failing(401, f'{{"message":"Invalid API key: {KEY}"}}'.encode()))
    sound = VirtualBraze()

    async def main() -> tuple[list[Outcome], list[Outcome]]:
        workspaces = FetchRun(bad), FetchRun(sound, make_workspace("zen"))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(night.collect(make_windows(50))) for night in workspaces]
        return tasks[0].result(), tasks[1].result()

    stopped, answered = run(main)
    assert kinds(answered) == {"Answered": 50}
    assert kinds(stopped) == {"Failed": 1, "Skipped": 49}
    assert len(bad.requests) == 1
    texts = {outcome.error for outcome in stopped if not isinstance(outcome, Answered)}
    assert all("API key was rejected" in text and KEY not in text for text in texts)


@pytest.mark.parametrize("status", [301, 403, 404, 405])
def test_wrong_addresses_and_permissions_stop_the_workspace(status: int) -> None:
    """A redirect, a 403, a 404 and a 405 stop the workspace, and what was in flight with them has its outcome."""
    server = VirtualBraze(fault=lambda _, count: failing(status) if count > 20 else None)
    outcomes = collect(server, make_windows(100))
    assert kinds(outcomes)["Answered"] == 20
    assert kinds(outcomes)["Failed"] <= 8
    assert len(server.requests) <= 28
    assert {outcome.http_status for outcome in outcomes if isinstance(outcome, Failed)} == {status}


def test_a_400_fails_its_series_alone() -> None:
    """A 400 fails its window; the rest of its series is skipped, and the other series are answered."""
    server = VirtualBraze(fault=lambda request, _: failing(400) if request.url.query["app_id"] == "app-2" else None)
    outcomes = collect(server, make_windows(100), workspace=make_workspace(concurrency=3))
    assert kinds(outcomes)["Answered"] == 80
    assert kinds(outcomes)["Failed"] == 1
    skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    assert len(skipped) == 19
    assert all(outcome.error.startswith("series refused: HTTP 400") for outcome in skipped)


def test_a_third_of_failing_attempts_leaves_nothing_unanswered() -> None:
    """With a third of the attempts failing, each in another way, all windows are answered and all attempts counted."""
    faults = [failing(500), failing(503, b"<html>"), Response(200, {}, b'{"message":"succ'), failing(202)]

    def fault(_: Request, count: int) -> Response | None:
        return faults[count // 3 % len(faults)] if count % 3 == 0 else None

    server = VirtualBraze(fault=fault)
    night = make_workspace(retry=Retry(attempts=10, base_seconds=0.5, max_seconds=60))
    outcomes = collect(server, make_windows(300), workspace=night)
    assert kinds(outcomes) == {"Answered": 300}
    assert sum(outcome.attempts for outcome in outcomes if isinstance(outcome, Answered)) == len(server.requests)


def test_attempts_end() -> None:
    """A window that never gets an answer fails after its attempts, with the last error and its status."""

    def fault(request: Request, _: int) -> Response | None:
        return failing(503, b'{"message":"maintenance"}') if request.url.query["app_id"] == "app-1" else None

    outcomes = collect(VirtualBraze(fault=fault), make_windows(25))
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert len(failed) == 5
    for outcome in failed:
        assert (outcome.attempts, outcome.http_status) == (4, 503)
        assert "maintenance" in outcome.error
        assert outcome.duration_ms > 0


def test_retry_after_is_the_least_wait() -> None:
    """The `Retry-After` of a 503 is waited for, up to the longest backoff."""
    server = VirtualBraze(fault=lambda _, count: failing(503, retry_after="50") if count == 1 else None)
    collect(server, make_windows(1))
    assert server.requests[1][0] - server.requests[0][0] >= 50


def test_a_window_with_a_longer_wait_goes_to_the_end_of_the_run() -> None:
    """A `Retry-After` above the longest backoff defers the window: the others go on, and it is tried after them."""
    server = VirtualBraze(fault=lambda _, count: failing(503, retry_after="90") if count == 5 else None)
    windows = make_windows(2000)
    outcomes = collect(server, windows, workspace=make_workspace(concurrency=1))
    assert kinds(outcomes) == {"Answered": 2000}
    assert outcomes[-1].window is windows[4]
    assert server.requests[-1][0] - server.requests[4][0] >= 90


def test_a_wait_beyond_the_end_of_the_run_is_left_to_the_next() -> None:
    """A window that is told to wait an hour fails with its last error, and the run does not wait for it."""
    server = VirtualBraze(fault=lambda _, count: failing(503, retry_after="3600") if count == 5 else None)

    async def main() -> tuple[list[Outcome], float]:
        outcomes = await FetchRun(server, make_workspace(concurrency=1)).collect(make_windows(20))
        return outcomes, asyncio.get_running_loop().time()

    outcomes, seconds = run(main)
    assert kinds(outcomes) == {"Answered": 19, "Failed": 1}
    failed = outcomes[-1]
    assert isinstance(failed, Failed)
    assert (failed.attempts, failed.http_status) == (1, 503)
    assert seconds < 60


def test_a_server_that_only_defers_stops_its_workspace() -> None:
    """Each such answer counts as a failed window, so ten of them in a row end the workspace's requests."""
    server = VirtualBraze(fault=lambda *_: failing(503, retry_after="3600"))
    outcomes = collect(server, make_windows(5000))
    assert "Answered" not in kinds(outcomes)
    assert len(server.requests) <= 10 + 8


def test_a_429_pauses_the_whole_workspace_and_uses_up_no_attempt() -> None:
    """Nothing is sent for the `Retry-After` of a 429; then one request goes ahead, and all windows are answered."""
    server = VirtualBraze(fault=lambda _, count: failing(429, retry_after="40") if count in (20, 90) else None)
    outcomes = collect(server, make_windows(200), workspace=make_workspace(retry=Retry(attempts=1)))
    assert kinds(outcomes) == {"Answered": 200}
    times = [at for at, _ in server.requests]
    assert len([1 for before, after in pairwise(times) if after - before >= 39]) == 2


def test_endless_429s_fail_a_window_in_the_end() -> None:
    """A server that says 429 for ever is given up after a bounded number of pauses."""
    server = VirtualBraze(fault=lambda *_: failing(429, retry_after="1"))
    outcomes = collect(server, make_windows(30))
    assert "Answered" not in kinds(outcomes)
    assert len(server.requests) < 30 * 12


def test_a_dead_server_costs_a_bounded_number_of_requests() -> None:
    """A workspace whose answers all fail stops after a bounded number of requests and says so."""
    server = VirtualBraze(fault=lambda *_: failing(500))
    outcomes = collect(server, make_windows(5000), workspace=make_workspace(concurrency=32))
    assert kinds(outcomes)["Failed"] < 50
    assert len(server.requests) <= 32 + 10 * 4
    skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    assert all("10 windows in a row failed" in outcome.error for outcome in skipped)
    assert len(skipped) > 4900


def test_a_series_refused_after_another_stops_a_workspace_that_has_no_answer_at_all() -> None:
    """Where each series is refused and none answered, fifty are enough."""
    server = VirtualBraze(fault=lambda *_: failing(400))
    outcomes = collect(server, make_windows(400, series=200))
    assert 50 <= kinds(outcomes)["Failed"] <= 58


def test_an_outage_is_survived() -> None:
    """A server that is down for some seconds costs no window, and afterwards all workers are back at work."""

    async def main() -> list[Outcome]:
        def fault(*_: object) -> Response | None:
            return failing(503) if 2 < asyncio.get_running_loop().time() < 6 else None

        retry = Retry(attempts=8, base_seconds=0.5, max_seconds=60)
        return await FetchRun(VirtualBraze(fault=fault), make_workspace(retry=retry)).collect(make_windows(1000))

    assert kinds(run(main)) == {"Answered": 1000}


def silent(begins: float, ends: float) -> Callable[[Request], Awaitable[Response]]:
    """A server that takes requests and says nothing for a while; each then runs into its timeout."""
    braze = VirtualBraze()

    async def server(request: Request) -> Response:
        if begins <= asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(request.timeout_seconds)
            raise RetryableError("no complete response from rest.test within 30 s")
        return await braze(request)

    return server


@pytest.mark.parametrize("begins", [0, 60])
def test_a_server_that_never_answers_ends_its_workspace_in_minutes(begins: float) -> None:
    """At the start or later: after five minutes of silence nothing more is requested, with the default `retry`."""

    async def main() -> tuple[list[Outcome], float]:
        night = FetchRun(
            silent(begins, 10**6), make_workspace(concurrency=32, retry=Retry()), throttle=FixedThrottle(100)
        )
        return await night.collect(make_windows(20_000)), night.clock.monotonic() - begins

    outcomes, took = run(main)
    assert 300 <= took < 420
    skipped = [outcome.error for outcome in outcomes if isinstance(outcome, Skipped)]
    assert len(skipped) > 10_000
    assert all("minutes without any reply; last error: no complete response" in error for error in skipped)
    assert bool(kinds(outcomes)["Answered"]) == (begins > 0)


@pytest.mark.parametrize("begins", [0, 60])
def test_a_silence_of_minutes_is_survived(begins: float) -> None:
    """Two minutes without a reply, at the start or in mid-run, cost no window."""

    async def main() -> list[Outcome]:
        workspace = make_workspace(concurrency=32, retry=Retry())
        return await FetchRun(silent(begins, begins + 120), workspace, throttle=FixedThrottle(30)).collect(
            make_windows(2400)
        )

    assert kinds(run(main)) == {"Answered": 2400}


@pytest.mark.parametrize(("others", "limit"), [(0.0, 1000), (0.08, 1000), (0.3, 1500)])
def test_the_reserve_is_left_to_others(others: float, limit: int) -> None:
    """With others spending too, the quota never falls below the reserve by our doing, and is used but for little."""
    server = VirtualBraze(limit=limit, others_per_second=others, latency=0.1)
    count = int(limit * 2.2)

    async def main() -> float:
        night = FetchRun(server, make_workspace(concurrency=32), throttle=FixedThrottle(100))
        outcomes = await night.collect(make_windows(count))
        assert kinds(outcomes) == {"Answered": count}
        return asyncio.get_running_loop().time()

    run(main)
    assert server.lowest >= limit * 0.2
    assert server.refused == 0
    first_hour = [at for at, _ in server.requests if at < 3600]
    spent_by_others = others * max(first_hour)
    assert len(first_hour) >= 0.95 * (limit * 0.8 - spent_by_others)
    resumed = min(at for at, _ in server.requests if at >= 3600)
    assert resumed < 3603
    assert len([1 for at, _ in server.requests if 3600 <= at < resumed + 0.04]) == 1, "a stampede at the reset"


def test_a_quota_without_headers_is_counted() -> None:
    """If the API reports nothing, the workspace counts its own requests until the clock hour ends."""
    server = VirtualBraze(limit=500, headers=False)
    workspace = make_workspace(rate_limit=make_workspace().rate_limit.__class__(per_hour=500, reserve=0.2))
    outcomes = collect(server, make_windows(600), workspace=workspace)
    assert kinds(outcomes) == {"Answered": 600}
    assert len([1 for at, _ in server.requests if at < 3600]) == 400


def test_an_empty_quota_is_not_touched() -> None:
    """A quota that others have emptied to the reserve costs one request to see; the rest waits for the hour."""
    server = VirtualBraze(limit=1000)

    async def main() -> None:
        server.spend(850)
        await FetchRun(server).collect(make_windows(100))

    run(main)
    assert len([1 for at, _ in server.requests if at < 3600]) == 1
    assert len([1 for at, _ in server.requests if at < 3610]) == 100


def test_a_stop_lets_what_is_in_flight_finish() -> None:
    """A stop ends dispatch at once; what is in flight is answered within the grace; the rest is skipped."""
    server = VirtualBraze(latency=1.0)
    stop = StopRequest(grace_seconds=5)

    async def main() -> tuple[list[Outcome], float]:
        asyncio.get_running_loop().call_later(3.1, stop.request, "deadline reached")
        return await FetchRun(server, stop=stop).collect(make_windows(500)), asyncio.get_running_loop().time()

    outcomes, ended = run(main)
    assert {outcome.error for outcome in outcomes if isinstance(outcome, Skipped)} == {"deadline reached"}
    assert kinds(outcomes)["Answered"] == len(server.requests)
    assert "Failed" not in kinds(outcomes)
    assert ended < 5


def test_a_stop_cuts_what_does_not_finish() -> None:
    """What is in flight beyond the grace is cancelled and failed, with the stop's reason."""

    async def hang(_: Request) -> Response:
        await asyncio.sleep(1e6)
        raise AssertionError

    stop = StopRequest(grace_seconds=5)

    async def main() -> tuple[list[Outcome], float]:
        asyncio.get_running_loop().call_later(2, stop.request, "SIGTERM")
        return await FetchRun(hang, stop=stop).collect(make_windows(20)), asyncio.get_running_loop().time()

    outcomes, ended = run(main)
    assert kinds(outcomes) == {"Failed": 1, "Skipped": 19}
    assert [outcome.error for outcome in outcomes if isinstance(outcome, Failed)] == ["interrupted: SIGTERM"]
    assert ended == pytest.approx(7)


def test_a_stop_ends_each_kind_of_wait_at_once() -> None:
    """Backoff, a pause of the quota and the throttle all end with the stop: failed where tried, skipped where not."""

    async def stopped(server: VirtualBraze, throttle: FixedThrottle) -> tuple[Counter[str], float]:
        stop, began = StopRequest(grace_seconds=5), asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(2, stop.request, "SIGINT")
        outcomes = await FetchRun(server, stop=stop, throttle=throttle).collect(make_windows(20))
        return kinds(outcomes), asyncio.get_running_loop().time() - began

    async def main() -> None:
        backoff = await stopped(VirtualBraze(fault=lambda *_: failing(503, retry_after="55")), FixedThrottle(1000))
        pause = await stopped(VirtualBraze(fault=lambda *_: failing(429, retry_after="600")), FixedThrottle(1000))
        throttle = await stopped(VirtualBraze(), FixedThrottle(0.01))
        assert [kinds for kinds, _ in (backoff, pause, throttle)] == [
            Counter(Failed=8, Skipped=12),
            Counter(Failed=1, Skipped=19),
            Counter(Answered=1, Skipped=19),
        ]
        assert [ended for _, ended in (backoff, pause, throttle)] == pytest.approx([2, 2, 2])

    run(main)


def test_a_stop_ahead_of_the_start_sends_nothing() -> None:
    """A workspace that is started after the stop skips all."""
    server = VirtualBraze()
    stop = StopRequest()
    stop.request("deadline reached")
    stop.request("SIGTERM")
    assert kinds(collect(server, make_windows(5), stop=stop)) == {"Skipped": 5}
    assert (server.requests, stop.reason) == ([], "deadline reached")


def test_a_cancelled_workspace_leaves_nothing_running() -> None:
    """A second signal cancels the workspace: it ends at once, with no task left behind."""

    async def main() -> None:
        task = asyncio.create_task(FetchRun(VirtualBraze()).collect(make_windows(500)))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_what_record_raises_ends_the_workspace() -> None:
    """A failure to record is not a failure of the API: it is raised, and nothing continues."""

    async def main() -> None:
        async def record(_: Outcome) -> None:
            raise OSError("disk full")

        with pytest.raises(ExceptionGroup) as caught:
            await FetchRun(VirtualBraze()).fetcher.collect(make_windows(50), record)
        assert caught.group_contains(OSError, match="disk full")

    run(main)


def test_recording_holds_the_workspace_back() -> None:
    """While nothing can be recorded, nothing more is requested for than the workers hold."""
    server = VirtualBraze()

    async def main() -> None:
        open_again = asyncio.Event()

        async def record(_: Outcome) -> None:
            await open_again.wait()

        task = asyncio.create_task(FetchRun(server).fetcher.collect(make_windows(100), record))
        await asyncio.sleep(60)
        assert len(server.requests) == 8
        open_again.set()
        await task

    run(main)
    assert len(server.requests) == 100


def test_a_waiting_worker_keeps_no_points_alive() -> None:
    """Once recorded and dropped, an outcome is gone, though its worker waits for the next answer."""

    async def main() -> None:
        seen: list[weakref.ref[Any]] = []

        async def record(outcome: Outcome) -> None:
            if isinstance(outcome, Answered):
                seen.append(weakref.ref(outcome.values))

        stop = StopRequest(grace_seconds=0)
        server = VirtualBraze(latency=1000.0)
        asyncio.get_running_loop().call_later(1500, stop.request, "enough")
        task = asyncio.create_task(
            FetchRun(server, make_workspace(concurrency=1), stop).fetcher.collect(make_windows(9), record)
        )
        await asyncio.sleep(1499)
        gc.collect()
        assert seen
        assert [ref() for ref in seen] == [None] * len(seen)
        await task

    run(main)


def test_a_wrong_clock_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Where the `Date` header says that this machine's clock is off by more than a minute, one warning says so."""
    behind = f"{START + timedelta(minutes=5):%a, %d %b %Y %H:%M:%S GMT}"

    async def server(request: Request) -> Response:
        response = await VirtualBraze()(request)
        return Response(200, {**response.headers, "date": behind}, response.body)

    with caplog.at_level(logging.WARNING):
        collect(server, make_windows(30))
    assert len([record for record in caplog.records if "300 s behind" in record.getMessage()]) == 1


def test_errors_beside_a_success_are_told_and_the_answer_taken(caplog: pytest.LogCaptureFixture) -> None:
    """A success with `errors` beside it is an answer; its errors are logged, without the key."""

    async def server(request: Request) -> Response:
        body = (await VirtualBraze()(request)).body
        return Response(200, {}, body[:-1] + f',"errors":["slow for {KEY}"]}}'.encode())

    with caplog.at_level(logging.WARNING):
        outcomes = collect(server, make_windows(30))
    assert kinds(outcomes) == {"Answered": 30}
    texts = [record.getMessage() for record in caplog.records]
    assert len([text for text in texts if "slow for ***" in text]) == 1
    assert KEY not in "".join(texts)


def test_network_failures_have_no_status() -> None:
    """A window that got no reply at all fails without a status."""

    async def server(_: Request) -> Response:
        raise RetryableError("could not connect to rest.test: refused")

    outcomes = collect(server, make_windows(1))
    assert isinstance(outcomes[0], Failed)
    assert (outcomes[0].http_status, outcomes[0].error) == (None, "could not connect to rest.test: refused")


def test_no_windows_is_nothing_to_do() -> None:
    """An empty plan ends at once."""
    assert collect(VirtualBraze(), []) == []


def test_an_outcome_has_the_servers_date_and_what_is_left_of_the_quota() -> None:
    """An answer has the reply's `Date` and remaining quota; a failure has the remaining quota of its last reply."""
    reports = {"date": "Mon, 23 Nov 2026 03:00:02 GMT", "x-ratelimit-remaining": "777"}

    def fault(request: Request, _: int) -> Response:
        answers = request.url.query["app_id"] == "app-0"
        return Response(200, reports, body_for(request)) if answers else Response(400, reports, b"{}")

    answered, failed = collect(VirtualBraze(fault=fault), make_windows(2), workspace=make_workspace(concurrency=1))
    assert isinstance(answered, Answered)
    assert isinstance(failed, Failed)
    assert answered.answered_date == START + timedelta(seconds=2)
    assert (answered.quota_remaining, failed.quota_remaining) == (777, 777)


def test_a_request_lost_on_a_kept_connection_is_repeated_at_once() -> None:
    """It costs no backoff, none of the window's attempts, and is no failure for the breaker; the second one is."""
    lost: set[str] = set()

    async def server(request: Request) -> Response:
        if request.url.query_string not in lost:
            lost.add(request.url.query_string)
            raise ConnectionLostError("closed")
        return Response(200, {}, body_for(request))

    async def main() -> tuple[list[Outcome], float]:
        patient = make_workspace(retry=Retry(attempts=1, base_seconds=1000, max_seconds=1000))
        outcomes = await FetchRun(server, patient).collect(make_windows(100))
        return outcomes, asyncio.get_running_loop().time()

    outcomes, seconds = run(main)
    assert kinds(outcomes) == {"Answered": 100}
    assert {outcome.attempts for outcome in outcomes if isinstance(outcome, Answered)} == {2}
    assert seconds < 1

    async def always(_: Request) -> Response:
        raise ConnectionLostError("closed")

    failed = collect(always, make_windows(1), workspace=make_workspace(retry=Retry(2, 0.5, 60)))[0]
    assert isinstance(failed, Failed)
    assert failed.attempts == 3
