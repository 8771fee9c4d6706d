"""Virtual time, which passes only while every task waits; a small Braze server in it; and fetches in this process."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import patch
from zoneinfo import ZoneInfo

import orjson
from asyncio_throttle import throttler

from collector.api.client import ApiClient
from collector.api.request import Request
from collector.api.transport import Response
from collector.config.settings import RateLimit, Retry, Secret, Workspace
from collector.fetch import limiter
from collector.fetch.fetcher import FetchResources, WorkspaceFetcher
from collector.fetch.stop import StopRequest
from collector.model import Reason, Scope, Series, SeriesKey, Span, Unit, Window
from collector.testing import FakeTransport

if TYPE_CHECKING:
    from collector.model import Outcome

T = TypeVar("T")
START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
KEY = "75480f9a-4db8-4057-8b7e-4d59bfd73709"


class _Selector(selectors.SelectSelector):
    """Skips each wait, and adds up how long it would have been."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("deadlock: every task waits, and none for a timer")
        self.passed += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.passed

    def hold_up(self, seconds: float) -> None:
        """Let time pass that no timer waits for."""
        self._virtual.passed += seconds


@contextmanager
def throttled_by(loop: VirtualLoop) -> Iterator[None]:
    """Make both throttles, which read the system's clock, read the loop's."""
    watch = SimpleNamespace(monotonic=loop.time)
    with patch.object(limiter, "time", watch), patch.object(throttler, "time", watch):
        yield


class VirtualClock:
    """`Clock` over the virtual loop."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FreeThrottle:
    """Never waits, and counts the requests."""

    def __init__(self) -> None:
        self.count = 0

    async def ready(self) -> None:
        pass

    async def acquire(self) -> None:
        self.count += 1


class FixedThrottle:
    """One request each `1 / per_second` seconds of virtual time."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = 0.0

    async def ready(self) -> None:
        await asyncio.sleep(max(0.0, self._next - asyncio.get_running_loop().time()))

    async def acquire(self) -> None:
        await self.ready()
        self._next = asyncio.get_running_loop().time() + self._gap


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it in virtual time. Fails if a task is still running at its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:

        async def alone() -> T:
            result = await main()
            assert asyncio.all_tasks() == {asyncio.current_task()}, "orphan tasks"
            return result

        return runner.run(alone())


def make_workspace(name: str = "acme", **changes: Any) -> Workspace:
    """A workspace whose quota and rate are no limit to a test."""
    settings: dict[str, Any] = {
        "rate_limit": RateLimit(per_hour=1_000_000, reserve=0.2, per_second=1000),
        "retry": Retry(attempts=4, base_seconds=0.5, max_seconds=60),
        "concurrency": 8,
    }
    return Workspace(name, "https://rest.test", ZoneInfo("UTC"), Secret(KEY), **(settings | changes))


def make_windows(count: int, series: int = 5, name: str = "acme") -> list[Window]:
    """Windows of ten hours, newest first, all series of a span together."""
    keys = [SeriesKey("sessions", Scope.APP, Unit.HOUR, f"app-{number}", None) for number in range(series)]
    return [
        Window(Series(name, keys[number % series], f"app{number % series}"), _span(number // series), Reason.NEW)
        for number in range(count)
    ]


def _span(age: int) -> Span:
    first = 498_000 - age * 10
    return Span(first, first + 10)


def body_for(request: Request) -> bytes:
    """The right answer to a request: each hour's count is its number modulo a thousand."""
    query = request.url.query
    last = int(datetime.fromisoformat(query["ending_at"]).timestamp()) // 3600
    hours = range(last - int(query["length"]) + 1, last + 1)
    points = [{"time": datetime.fromtimestamp(hour * 3600, UTC).isoformat(), "sessions": hour % 1000} for hour in hours]
    return orjson.dumps({"message": "success", "data": points})


Fault = Callable[[Request, int], Response | None]


@dataclass
class VirtualBraze:
    """A server with a quota that is reset on the hour and that other clients use too; `fault` may answer instead."""

    limit: int = 1_000_000
    latency: float = 0.05
    others_per_second: float = 0.0
    headers: bool = True
    fault: Fault | None = None
    rng: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - chance, no secrets
    requests: list[tuple[float, str]] = field(default_factory=list)
    lowest: int = 10**9
    refused: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    _hour: int = -1
    _own: int = 0

    async def __call__(self, request: Request) -> Response:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency * self.rng.uniform(0.25, 0.75))
            response = self._answer(request)
            await asyncio.sleep(self.latency * self.rng.uniform(0.25, 0.75))
        finally:
            self.in_flight -= 1
        return response

    def remaining(self) -> int:
        hour, within = divmod(asyncio.get_running_loop().time(), 3600)
        if hour != self._hour:
            self._hour, self._own = int(hour), 0
        return self.limit - self._own - int(within * self.others_per_second)

    def spend(self, count: int) -> None:
        """Other clients use `count` requests of the quota at once."""
        self.remaining()
        self._own += count

    def _answer(self, request: Request) -> Response:
        now = asyncio.get_running_loop().time()
        self.requests.append((now, request.url.query.get("app_id", "")))
        left = self.remaining() - 1
        rate_limit = {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(0, left)),
            "x-ratelimit-reset": str(int(START.timestamp()) + 3600 * (self._hour + 1)),
        }
        headers = rate_limit if self.headers else {}
        if left < 0:
            self.refused += 1
            return Response(429, headers, b'{"message":"rate limited"}')
        self._own += 1
        self.lowest = min(self.lowest, left)
        faulty = self.fault(request, len(self.requests)) if self.fault else None
        return faulty or Response(200, headers, body_for(request))


@dataclass
class FetchRun:
    """The fetch of one workspace, and what it needs."""

    server: Callable[[Request], Awaitable[Response]]
    workspace: Workspace = field(default_factory=make_workspace)
    stop: StopRequest = field(default_factory=lambda: StopRequest(grace_seconds=5))
    throttle: FreeThrottle | FixedThrottle = field(default_factory=FreeThrottle)
    clock: VirtualClock = field(default_factory=VirtualClock)
    connections: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1000))
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        api = ApiClient(self.workspace, FakeTransport(self.server), self.clock)
        rng = random.Random(3)  # noqa: S311
        resources = FetchResources(self.throttle, self.connections, self.clock, rng, self.stop)
        self.fetcher = WorkspaceFetcher(self.workspace, api, resources)

    async def collect(self, windows: list[Window]) -> list[Outcome]:
        async def record(outcome: Outcome) -> None:
            self.outcomes.append(outcome)

        await self.fetcher.collect(windows, record)
        assert sorted(map(id, windows)) == sorted(id(outcome.window) for outcome in self.outcomes)
        progress = self.fetcher.progress
        assert (progress.planned, progress.in_flight) == (len(windows), 0)
        assert progress.done + progress.failed + progress.skipped == len(windows)
        return self.outcomes


def collect(server: Callable[[Request], Awaitable[Response]], windows: list[Window], **parts: Any) -> list[Outcome]:
    """All outcomes of a workspace in virtual time."""

    async def main() -> list[Outcome]:
        return await FetchRun(server, **parts).collect(windows)

    return run(main)
