"""Where a lane's requests wait for the pool and the throttle, in the order they came.

In: workers that want to send. Out: the same, let through. Every attempt passes here, retries included, so every one is
paid for.

While pool and throttle have room, a worker walks through without a task switch. Otherwise it queues, and one dispatcher
waits in place of all, who so can't stampede when the gate opens. It lets as many through at once as there is room for:
workers that woke one another in turn, as a lock would have them do, would each cost the loop a round.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.api.headers import ReplyHeaders
    from collector.clock import Clock
    from collector.fetch.pacing import Pacer
    from collector.fetch.pool import Pool
    from collector.fetch.progress import LaneProgress

log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 30.0
"""A long pause is slept in slices: a machine that was suspended meanwhile, or its clock set, is seen in time."""

_LATE_SECONDS = 0.002
"""A worker that was let through and comes this late asks the throttle anew: its second may be full by now."""


class Gate:
    """The gate of one lane. `dispatch` must run beside the workers."""

    def __init__(self, pool: Pool, pacer: Pacer, clock: Clock, progress: LaneProgress) -> None:
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

    def left(self, turn: int, headers: ReplyHeaders, *, refused: bool = False) -> None:
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
