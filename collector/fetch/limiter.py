"""When a request may be sent: the quota of the hour, the throttle of the second, and a free connection.

In: a request that wants to be sent. Out: the permission, counted. Every attempt passes here, retries included, so
everything that is sent is counted. What the quota knows is in `quota.py`; what a request means is in `fetcher.py`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from asyncio_throttle.throttler import Throttler

if TYPE_CHECKING:
    from collector.api.headers import RateLimitHeaders
    from collector.clock import Clock
    from collector.fetch.progress import FetchProgress
    from collector.fetch.quota import Quota

log = logging.getLogger(__name__)

_CHECK_SECONDS = 30.0
"""A long pause is slept in slices, so that a machine that was suspended, or whose clock was set, is noticed in time."""

_LOST_SECONDS = 0.006
"""How much closer two requests may come on the way from the throttle to the wire, out of each second."""

_TICK_SECONDS = 0.01
"""A request that is due within a tick does not sleep: at 500 a second the loop wakes up once for five requests."""

_CATCH_UP_SECONDS = 0.1
"""How much time is made up for after the loop was blocked: a tenth of a second's requests pass at once."""

_IDLE_SECONDS = 1.0
"""After a pause that is longer, nothing is made up for: that was idle time, and not a delay."""

_POLL_SECONDS = 0.001
"""How often asyncio-throttle looks again when its second is full. The spacing makes that rare."""


class Throttle(Protocol):
    """Limits the requests of a second. One caller a quota waits at a time: the limiter's turnstile sees to that."""

    async def ready(self) -> None:
        """Wait until one more request may be sent, without counting it."""
        ...

    async def acquire(self) -> None:
        """Count one request. Returns at once, without a task switch, where `ready` has just returned."""
        ...


class EvenThrottle:
    """At most `per_second` requests in any second, by asyncio-throttle, and spread evenly over it.

    The throttle keeps the promise, even when the event loop was blocked. By itself it would let all requests of a
    second pass at once, then none, and would wake a waiting caller every millisecond. So each request first has a due
    time: those due within a tick pass together, and the next one sleeps until it is due. The spacing is a little wider
    than the throttle's own, so the throttle is seldom reached.

    A loop that was blocked catches up by a tenth of a second at most. After an idle second it does not catch up: what
    passed at once then would pass at once in each second that follows.
    """

    def __init__(self, per_second: float) -> None:
        limit, period = _limit_and_period(per_second)
        self._throttler = Throttler(limit, period, retry_interval=_POLL_SECONDS)
        # The throttle's own spacing is at most (1 + _LOST_SECONDS) / per_second. A fifth of the lost time more, and
        # requests that are evenly spaced do not meet it.
        self._spacing = (1 + 1.2 * _LOST_SECONDS) / per_second
        self._due = -math.inf

    async def ready(self) -> None:
        """Wait until the next request is due."""
        # Looked at again after each wait: the limiters of several quotas share a throttle, and one may have been first.
        while (due := self._next_due(now := time.monotonic())) > now + _TICK_SECONDS:  # noqa: ASYNC110  # time, no event
            await asyncio.sleep(due - now)

    async def acquire(self) -> None:
        """Wait until one more request may be sent, and count it."""
        await self.ready()
        self._due = self._next_due(time.monotonic())
        # The spacing alone keeps no promise when the loop was blocked. The throttle counts what it lets pass.
        await self._throttler.acquire()  # type: ignore[no-untyped-call]  # it declares types and has none

    def _next_due(self, now: float) -> float:
        # Each request is due one spacing after the previous one was due, not after it was sent: a sleep that ends late
        # does not shift the requests that follow.
        due = self._due + self._spacing
        return now if due < now - _IDLE_SECONDS else max(due, now - _CATCH_UP_SECONDS)


def _limit_and_period(per_second: float) -> tuple[int, float]:
    """A number of requests, and the seconds in which no more than these may be sent.

    A second or, for a rate such as 2.5, a little more. The lost milliseconds are added, so that what holds at the
    throttle for that time holds on the wire for a second.
    """
    limit = math.ceil(per_second)
    return limit, limit / per_second + _LOST_SECONDS


class Permits(Protocol):
    """Something that is limited, such as open connections: one is taken for each request in flight."""

    async def acquire(self) -> object:
        """Wait for a free one, and take it."""
        ...

    def release(self) -> None:
        """Give one back."""
        ...


class BothPermits:
    """Takes the first and then the second: the workspace's own, and one of the process, which is held the shortest."""

    def __init__(self, first: Permits, second: Permits) -> None:
        self._first, self._second = first, second

    async def acquire(self) -> None:
        """Wait for both. Where the wait is cancelled, neither is taken."""
        await self._first.acquire()
        try:
            await self._second.acquire()
        except BaseException:
            self._first.release()
            raise

    def release(self) -> None:
        """Give both back."""
        self._second.release()
        self._first.release()


class RateLimiter:
    """The limiter of one quota of a workspace: `acquire` before each request, `release` after it.

    `connections` are those of the process, one for each request in flight, and shared by all workspaces.
    """

    def __init__(
        self, quota: Quota, throttle: Throttle, connections: Permits, clock: Clock, progress: FetchProgress
    ) -> None:
        self._quota, self._throttle, self._connections = quota, throttle, connections
        self._clock, self._progress = clock, progress
        self._turnstile = _Turnstile()
        self._changed = asyncio.Event()

    async def acquire(self) -> int:
        """Wait until one more request may be sent, and count it. Pass the epoch that is returned to `release`."""
        # One caller waits for throttle and quota; the others wait for the turnstile. So the throttle, which polls,
        # polls for one caller a workspace, and no crowd wakes up when the quota refills. The caller that gets through
        # goes on in the same step of the event loop: no time passes between the permission and the request.
        async with self._turnstile:
            while True:
                await self._throttle.ready()
                if not self._quota.may_send(self._clock.now()):
                    await self._wait_for_quota()
                    continue
                # A connection is taken only when the request could be sent at once, so that a workspace that waits for
                # its rate or its quota holds none. Connections are handed out in the order of arrival, and one caller
                # a workspace waits here: so workspaces take turns, however many windows each of them has.
                await self._connections.acquire()
                # No await between the last look at the quota and `count_sent`: nothing else is counted in between. A
                # permission of the throttle that is not used is lost, so errors are on the slow side.
                if await self._permitted():
                    self._progress.paused_until = None
                    return self._quota.count_sent(self._clock.now())
                self._connections.release()

    def release(self, epoch: int, headers: RateLimitHeaders, *, refused: bool = False) -> None:
        """The request ended: with a reply, without one (NO_HEADERS), or (`refused`) with a 429."""
        record = self._quota.record_429 if refused else self._quota.record_reply
        record(epoch, headers, self._clock.now())
        self._progress.quota_remaining = self._quota.remaining
        self._progress.quota_limit = self._quota.limit
        self._connections.release()
        self._changed.set()

    async def _permitted(self) -> bool:
        """Ask throttle and quota again, since time may have passed. The connection is given back where this fails."""
        try:
            await self._throttle.acquire()
        except BaseException:
            self._connections.release()
            raise
        return self._quota.may_send(self._clock.now())

    async def _wait_for_quota(self) -> None:
        """Wait for the end of a pause (or a slice of it) or, where there is none, for the next reply."""
        until = self._quota.closed_until
        if until is None:
            # Since `may_send` said no, there was no await: no reply can have come, so clearing loses no signal. Only
            # the holder of the turnstile waits here.
            self._changed.clear()
            await self._changed.wait()
            return
        # One line for each pause, not one for each slice of it.
        if until != self._progress.paused_until:
            self._progress.paused_until = until
            remaining = "unknown" if self._quota.remaining is None else f"{self._quota.remaining:,}"
            log.warning(
                "%s: rate limit reached, paused until %s (remaining requests: %s, limit: %s)",
                self._progress.name,
                f"{until:%Y-%m-%dT%H:%M:%SZ}",
                remaining,
                f"{self._quota.limit:,}",
            )
        await self._clock.sleep(min(_CHECK_SECONDS, (until - self._clock.now()).total_seconds()))


class _Turnstile:
    """A lock that anyone may take while it is free, ahead of those who wait for it.

    asyncio.Lock is fair: as soon as one task waits, the lock is handed from waiter to waiter, one round of the event
    loop for each, and the queue never ends (a lock convoy). That costs 8 us a request; this costs none.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        # To be woken is not to own the lock: another caller may have taken it since. Then this one waits again, at the
        # end. All callers are alike, so it does not matter which one goes first.
        while self._taken:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake_next()  # it was woken and cancelled at once, so the next one is woken in its place
                raise
        self._taken = True

    async def __aexit__(self, *_: object) -> None:
        self._taken = False
        self._wake_next()

    def _wake_next(self) -> None:
        # One waiter only: the others would find the lock taken and wait again.
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
