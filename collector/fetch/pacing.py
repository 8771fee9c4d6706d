"""How fast a lane may send: requests a second. Pool and reserve, which count by the hour, are in `pool.py`."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_right
from typing import Protocol

from asyncio_throttle.throttler import Throttler

_LOST_SECONDS = 0.006
"""How much closer two requests may come on the way from the throttle to the wire, out of each second."""

_TICK_SECONDS = 0.01
_CATCH_UP_SECONDS = 0.1
_IDLE_SECONDS = 1.0
_POLL_SECONDS = 0.001


class Pacer(Protocol):
    """Lets requests through at a bounded pace. Seldom does more than one wait: the lane sees to that."""

    async def acquire(self) -> None:
        """Wait until one more may be sent; at once, without a task switch, where there is room."""
        ...

    async def acquire_anew(self, since: float) -> None:
        """The same for one that was let through at `since` (monotonic seconds), and was not sent."""
        ...


class ThrottlePacer:
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
