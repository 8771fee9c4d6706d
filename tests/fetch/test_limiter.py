from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from typing import TYPE_CHECKING

import pytest

from collector.api.headers import NO_HEADERS, RateLimitHeaders
from collector.fetch.limiter import EvenThrottle, RateLimiter
from collector.fetch.progress import FetchProgress
from collector.fetch.quota import Quota
from tests.support.virtual import FreeThrottle, VirtualClock, VirtualLoop, run, throttled_by

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 20.0


class BlockedLoop(EvenThrottle):
    """A throttle after whose permission the event loop is blocked, for a share of the requests."""

    def __init__(self, rate: float, share: float, seconds: float) -> None:
        super().__init__(rate)
        self._share, self._seconds = share, seconds

    async def acquire(self) -> None:
        await super().acquire()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        if random.random() < self._share:  # noqa: S311
            loop.call_soon(loop.hold_up, random.uniform(0.006, self._seconds))  # noqa: S311


def sent_through(
    throttle: EvenThrottle, quota: Quota, headers: Callable[[int], RateLimitHeaders] = lambda _: NO_HEADERS
) -> list[float]:
    """When 200 workers send, in 20 seconds from 1000.0 on. A request takes 0.05 s; one with `Retry-After` is a 429."""
    sent: list[float] = []

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), VirtualClock()
        assert isinstance(loop, VirtualLoop)
        loop.hold_up(1000.0)
        with throttled_by(loop):
            limiter = RateLimiter(quota, throttle, asyncio.Semaphore(1000), clock, FetchProgress("acme"))

            async def work() -> None:
                while clock.monotonic() < 1000 + SECONDS:
                    epoch = await limiter.acquire()
                    sent.append(clock.monotonic())
                    reply = headers(len(sent))
                    await asyncio.sleep(0.05)
                    limiter.release(epoch, reply, refused=reply.retry_after is not None)

            workers = [asyncio.create_task(work()) for _ in range(200)]
            await asyncio.sleep(SECONDS)
            for task in workers:
                task.cancel()
            await asyncio.wait(workers)

    run(main)
    return sent


@pytest.mark.parametrize(
    ("rate", "share", "seconds"), [(500, 0.01, 0.05), (100, 0.3, 0.02), (10, 1, 0.02), (1, 1, 0.01)]
)
def test_no_second_holds_more_than_the_rate_when_the_loop_is_blocked(rate: int, share: float, seconds: float) -> None:
    """However the loop is blocked after a permission, no second holds more than the rate, and 90 % of it is used."""
    random.seed(rate)
    sent = sent_through(BlockedLoop(rate, share, seconds), Quota(10**9, 0, random.random))
    assert max(bisect_left(sent, since + 1.0) - place for place, since in enumerate(sent)) <= rate
    assert len(sent) >= 0.9 * SECONDS * rate


def test_a_429_holds_back_all_who_wait() -> None:
    """After a 429 with `Retry-After`, nobody who waits at the limiter sends."""
    random.seed(1)
    quota = Quota(10**9, 0, random.random)
    sent = sent_through(
        EvenThrottle(9), quota, lambda number: RateLimitHeaders(retry_after=60.0 if number == 50 else None)
    )
    assert len(sent) == 50
    assert quota.closed_until is not None


def test_a_waiter_that_is_cancelled_blocks_no_other() -> None:
    """Callers that are cancelled while they wait, even in the step in which they are woken, leave the way free."""

    async def main() -> None:
        quota, connections = Quota(10**9, 0, random.random), asyncio.Semaphore(1000)
        limiter = RateLimiter(quota, EvenThrottle(1000), connections, VirtualClock(), FetchProgress("acme"))
        limiter.release(await limiter.acquire(), NO_HEADERS)
        for number in range(50):
            waiters = [asyncio.create_task(limiter.acquire()) for _ in range(20)]
            await asyncio.sleep(0.0001 * number)
            for task in waiters[number % 2 :: 2]:
                task.cancel()
            for ended in await asyncio.gather(*waiters, return_exceptions=True):
                if isinstance(ended, int):
                    limiter.release(ended, NO_HEADERS)

    async def on_time() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with throttled_by(loop):
            await asyncio.wait_for(main(), 100)

    run(on_time)


def test_a_workspace_that_waits_holds_no_connection() -> None:
    """While a workspace is paused by a 429, all connections of the process are free for the others."""

    async def main() -> None:
        connections, clock = asyncio.Semaphore(2), VirtualClock()
        paused = RateLimiter(Quota(10**9, 0, lambda: 0.0), FreeThrottle(), connections, clock, FetchProgress("paused"))
        epoch = await paused.acquire()
        paused.release(epoch, RateLimitHeaders(retry_after=600.0), refused=True)
        waiting = [asyncio.create_task(paused.acquire()) for _ in range(5)]
        other = RateLimiter(Quota(10**9, 0, lambda: 0.0), FreeThrottle(), connections, clock, FetchProgress("other"))
        for _ in range(10):
            other.release(await asyncio.wait_for(other.acquire(), 1), NO_HEADERS)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    run(main)


def test_workspaces_take_turns_at_the_connections() -> None:
    """With one connection, a workspace with ten windows gets every second one beside a workspace with thousands."""

    async def main() -> list[str]:
        connections, clock, sent = asyncio.Semaphore(1), VirtualClock(), []

        async def work(limiter: RateLimiter, name: str, count: int) -> None:
            for _ in range(count):
                epoch = await limiter.acquire()
                sent.append(name)
                await asyncio.sleep(0.01)
                limiter.release(epoch, NO_HEADERS)

        async with asyncio.TaskGroup() as tasks:
            for name, workers, count in (("large", 32, 100), ("small", 1, 10)):
                quota = Quota(10**9, 0, lambda: 0.0)
                limiter = RateLimiter(quota, FreeThrottle(), connections, clock, FetchProgress(name))
                for _ in range(workers):
                    tasks.create_task(work(limiter, name, count))
        return sent

    sent = run(main)
    assert sent[:30].count("small") == 10
