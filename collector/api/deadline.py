"""Time limits for many requests, by one timer for all of them.

`asyncio.timeout`, and the client's own, set a timer for each request and take it back, which is a tenth of what a
request costs. Limits here are of many seconds and seldom reached: it is enough to look at all of them now and then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_LOOK_SECONDS = 0.1


class Deadlines:
    """Gives out limits: `with deadlines.within(30): …`."""

    def __init__(self) -> None:
        self.running: set[Limit] = set()
        self._looking = False

    def within(self, seconds: float) -> Limit:
        """A limit for what the present task does in the block, which it ends, soon after that time, with TimeoutError."""
        loop = asyncio.get_running_loop()
        if not self._looking:
            self._looking = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        return Limit(self, loop.time() + seconds)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for limit in self.running:
            limit.look(now)
        self._looking = bool(self.running)
        if self._looking:
            loop.call_later(_LOOK_SECONDS, self._look, loop)


class Limit:
    """One block's limit. Ends it as `asyncio.timeout` does: by a cancellation that is told from any other."""

    __slots__ = ("_cancelling", "_deadlines", "_due", "_expired", "_task")

    def __init__(self, deadlines: Deadlines, due: float) -> None:
        self._deadlines, self._due, self._expired = deadlines, due, False

    def __enter__(self) -> None:
        """From here on."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is for a task")
        self._task, self._cancelling = task, task.cancelling()
        self._deadlines.running.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Up to here."""
        self._deadlines.running.discard(self)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def look(self, now: float) -> None:
        """End the block where it is overdue."""
        if now >= self._due and not self._expired:
            self._expired = True
            self._task.cancel()
