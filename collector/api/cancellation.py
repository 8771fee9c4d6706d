"""Blocks that can be ended from outside, and time limits for many of them by one timer.

`asyncio.timeout`, and the client's own, set a timer for each request and take it back, which is a tenth of what a
request costs. Limits here are of many seconds and seldom reached: it is enough to look at all of them now and then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


_LOOK_SECONDS = 0.1


class CancelScope:
    """A block of one task: `with scope: …`. Once only."""

    __slots__ = ("_before", "_ended", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._ended = False

    def __enter__(self) -> None:
        """From here on."""
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task else 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Up to here. Raises TimeoutError where the block was ended, unless the task was cancelled as well."""
        task, self._task = self._task, None
        if task and self._ended and task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        """End the block in its wait; nothing happens before it begins and after it has ended."""
        if self._task and not self._ended:
            self._ended = True
            self._task.cancel()


class Timeouts:
    """Ends blocks that take too long: `with deadlines.within(30): …`."""

    def __init__(self) -> None:
        self.running: dict[CancelScope, float] = {}
        self._looking = False

    def within(self, seconds: float) -> _TimeLimit:
        """A limit for the block of the present task: soon after that time it ends with TimeoutError."""
        loop = asyncio.get_running_loop()
        if not self._looking:
            self._looking = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        return _TimeLimit(self.running, loop.time() + seconds)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for scope, due in self.running.items():
            if now >= due:
                scope.end()
        self._looking = bool(self.running)
        if self._looking:
            loop.call_later(_LOOK_SECONDS, self._look, loop)


class _TimeLimit(CancelScope):
    __slots__ = ("_due", "_running")

    def __init__(self, running: dict[CancelScope, float], due: float) -> None:
        super().__init__()
        self._running, self._due = running, due

    def __enter__(self) -> None:
        super().__enter__()
        self._running[self] = self._due

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._running[self]
        super().__exit__(kind, error, trace)
