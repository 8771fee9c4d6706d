"""How fast a lane may send: requests a second. Pool and reserve, which count by the hour, are in `pool.py`.

Where a lane's requests wait for the pool and the throttle, in the order they came.

In: workers that want to send. Out: the same, let through. Every attempt passes here, retries included, so every one is
paid for.

While pool and throttle have room, a worker walks through without a task switch. Otherwise it queues, and one dispatcher
waits in place of all, who so can't stampede when the gate opens. It lets as many through at once as there is room for:
workers that woke one another in turn, as a lock would have them do, would each cost the loop a round.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Protocol

from asyncio_throttle.throttler import Throttler

if TYPE_CHECKING:
    from collector.api.headers import RateLimitHeaders
    from collector.clock import Clock
    from collector.fetch.fetcher import FetchProgress
    from collector.fetch.quota import Quota


_LOST_SECONDS = 0.006
"""How much closer two requests may come on the way from the throttle to the wire, out of each second."""

_TICK_SECONDS = 0.01
_CATCH_UP_SECONDS = 0.1
_IDLE_SECONDS = 1.0
_POLL_SECONDS = 0.001


class Throttle(Protocol):
    """Lets requests through at a bounded pace. Seldom does more than one wait: the lane sees to that."""

    async def acquire(self) -> None:
        """Wait until one more may be sent; at once, without a task switch, where there is room."""
        ...

    async def acquire_anew(self, since: float) -> None:
        """The same for one that was let through at `since` (monotonic seconds), and was not sent."""
        ...


class EvenThrottle:
    """At most `per_second` requests in any second, by asyncio-throttle, and spread evenly over it.

    The throttle keeps the promise, whatever holds the event loop up. By itself it would let all of a second through at
    once, then nothing, and have whoever waits wake up every millisecond. So each request has its due time before that:
    those due within a tick go together, and the next one sleeps until it is due. A pace a little below the throttle's
    own seldom meets it. A loop that was held up catches up by a tenth of a second at most; after an idle second there
    is nothing to catch up with: what went at once then would go at once in each second that follows.
    """

    def __init__(self, per_second: float) -> None:
        limit, period = _limit_and_period(per_second)
        self._throttler = Throttler(limit, period, retry_interval=_POLL_SECONDS)
        self._spacing = (1 + 1.2 * _LOST_SECONDS) / per_second
        self._due = -math.inf

    async def acquire(self) -> None:
        """Wait until one more may be sent."""
        now = time.monotonic()
        due = self._due + self._spacing
        self._due = now if due < now - _IDLE_SECONDS else max(due, now - _CATCH_UP_SECONDS)
        if self._due > now + _TICK_SECONDS:
            await asyncio.sleep(self._due - now)
        await self._throttler.acquire()  # type: ignore[no-untyped-call]  # it says it is typed, and is not

    async def acquire_anew(self, since: float) -> None:
        """Take a place in the second that it goes in, for the one that it was given and did not use."""
        taken = self._throttler._task_logs  # noqa: SLF001  # the throttle takes none back by itself
        place = bisect_right(taken, since) - 1
        if place >= 0:
            del taken[place]
        await self._throttler.acquire()  # type: ignore[no-untyped-call]  # as above


def _limit_and_period(per_second: float) -> tuple[int, float]:
    """Requests, and the seconds in which no more than these may go: a second or, for a rate like 2.5, a little more.

    What holds at the throttle for a second and some milliseconds holds on the wire for a second.
    """
    limit = math.ceil(per_second)
    return limit, limit / per_second + _LOST_SECONDS


log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 30.0
"""A long pause is slept in slices: a machine that was suspended meanwhile, or its clock set, is seen in time."""

_LATE_SECONDS = 0.002
"""A worker that was let through and comes this late asks the throttle anew: its second may be full by now."""


class RateLimiter:
    """The gate of one lane. `dispatch` must run beside the workers."""

    def __init__(self, pool: Quota, pacer: Throttle, clock: Clock, progress: FetchProgress) -> None:
        self._pool = pool
        self._pacer = pacer
        self._clock = clock
        self._progress = progress
        self._queue: deque[asyncio.Future[tuple[int, float]]] = deque()
        self._queued = asyncio.Event()
        self._passing = False
        self._news = asyncio.Event()
        self._changes = 0  # to the pool, to tell whether it must be asked again after a wait for the throttle

    async def enter(self) -> int:
        """Wait until one more request may go, and count it. Hand the number back to `left`, or to `turned_back`."""
        now = self._clock.now()
        if not (self._queue or self._passing) and self._pool.may_send(now):
            self._passing, before = True, self._changes
            try:
                await self._pacer.acquire()
            finally:
                self._passing = False
            if before == self._changes or self._pool.may_send(now := self._clock.now()):
                return self._pool.sent(now)
        return await self._wait_in_queue()

    def turned_back(self, turn: int) -> None:
        """The request was let through, and then not sent."""
        self._pool.withdrawn(turn)
        self._news.set()

    def left(self, turn: int, headers: RateLimitHeaders, *, refused: bool = False) -> None:
        """The request came to an end: with an answer, a failure, or (`refused`) a 429."""
        pool, progress = self._pool, self._progress
        if refused:
            pool.refused(turn, headers, self._clock.now())
        else:
            pool.answered(turn, headers, self._clock.now())
        progress.pool_remaining = pool.remaining
        progress.pool_limit = pool.limit
        self._changes += 1
        self._news.set()

    async def dispatch(self) -> None:
        """Let those who queue through, one after another, for ever."""
        while True:
            await self._queued.wait()
            while self._queue:
                await self._open()
                await self._pacer.acquire()
                self._let_through()
            self._queued.clear()

    async def _wait_in_queue(self) -> int:
        while True:
            turn, since = await self._let_in()
            if self._clock.monotonic() - since <= _LATE_SECONDS:
                return turn
            # It may have to wait again: the pool can close meanwhile, or begin anew.
            self.turned_back(turn)
            await self._pacer.acquire_anew(since)
            if self._pool.may_send(now := self._clock.now()):
                self._changes += 1
                return self._pool.sent(now)

    async def _let_in(self) -> tuple[int, float]:
        """What the dispatcher gives the first in the queue: the pool's number, and since when it may send."""
        passed: asyncio.Future[tuple[int, float]] = asyncio.get_running_loop().create_future()
        self._queue.append(passed)
        self._queued.set()
        try:
            return await passed
        except asyncio.CancelledError:
            if passed.done() and not passed.cancelled():
                self.turned_back(passed.result()[0])
            raise

    def _let_through(self) -> None:
        """The first who still waits, unless the pool has closed meanwhile."""
        now = self._clock.now()
        while self._queue and self._queue[0].done():
            self._queue.popleft()
        if self._queue and self._pool.may_send(now):
            self._changes += 1
            self._queue.popleft().set_result((self._pool.sent(now), self._clock.monotonic()))

    async def _open(self) -> None:
        """Wait until the pool has room."""
        while not self._pool.may_send(now := self._clock.now()):
            until = self._pool.closed_until
            if until is None:
                self._news.clear()
                await self._news.wait()
                continue
            if until != self._progress.paused_until:
                self._progress.paused_until = until
                log.warning("%s: paused until %s: %s", self._progress.name, f"{until:%Y-%m-%dT%H:%M:%SZ}", self._why())
            await self._clock.sleep(min(_LOOK_AGAIN_SECONDS, (until - now).total_seconds()))
        self._progress.paused_until = None

    def _why(self) -> str:
        left = "an unknown number" if self._pool.remaining is None else f"{self._pool.remaining:,}"
        return f"{left} of {self._pool.limit:,} requests left in the pool"
