from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from typing import TYPE_CHECKING

import pytest

from collector.api.headers import NO_HEADERS, RateLimitHeaders
from collector.fetch.fetcher import FetchProgress
from collector.fetch.limiter import EvenThrottle, RateLimiter
from collector.fetch.quota import Quota
from tests.fetch.virtual import VirtualClock, VirtualLoop, run, throttled_by

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 20.0


class Interrupted(EvenThrottle):
    """A pacer after which the event loop is held up for a share of the requests, before they can be sent."""

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
    pacer: EvenThrottle, pool: Quota, headers: Callable[[int], RateLimitHeaders] = lambda _: NO_HEADERS
) -> list[float]:
    """When requests go out for a while from 1000.0 on, 0.05 s each; the answer to each is refused if it says wait."""
    sent: list[float] = []

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), VirtualClock()
        assert isinstance(loop, VirtualLoop)
        loop.hold_up(1000.0)
        with throttled_by(loop):
            gate = RateLimiter(pool, pacer, clock, FetchProgress("acme"))
            dispatching = asyncio.create_task(gate.dispatch())

            async def work() -> None:
                while clock.monotonic() < 1000 + SECONDS:
                    turn = await gate.enter()
                    sent.append(clock.monotonic())
                    told = headers(len(sent))
                    await asyncio.sleep(0.05)
                    gate.left(turn, told, refused=told.retry_after is not None)

            working = [asyncio.create_task(work()) for _ in range(200)]
            await asyncio.sleep(SECONDS)
            for task in [*working, dispatching]:
                task.cancel()
            await asyncio.wait([*working, dispatching])

    run(main)
    return sent


@pytest.mark.parametrize(
    ("rate", "share", "seconds"), [(500, 0.01, 0.05), (100, 0.3, 0.02), (10, 1, 0.02), (1, 1, 0.01)]
)
def test_who_was_let_through_and_comes_late_breaks_no_second(rate: int, share: float, seconds: float) -> None:
    """What is held up between the gate and the wire is not sent on top of a second that is full; hardly any is lost."""
    random.seed(rate)
    sent = sent_through(Interrupted(rate, share, seconds), Quota(10**9, 0, random.random))
    assert max(bisect_left(sent, since + 1.0) - place for place, since in enumerate(sent)) <= rate
    assert len(sent) >= 0.9 * SECONDS * rate


def test_who_comes_late_to_a_pool_that_has_closed_waits_for_it() -> None:
    """A 429 that says so stops those as well who had been let through and were late."""
    random.seed(1)
    pool = Quota(10**9, 0, random.random)
    sent = sent_through(
        Interrupted(9, 1, 0.02), pool, lambda number: RateLimitHeaders(retry_after=60.0 if number == 50 else None)
    )
    assert len(sent) == 50
    assert pool.closed_until is not None
