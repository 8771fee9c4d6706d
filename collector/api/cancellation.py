"""Blocks of a task that another task can cancel, and time limits for many of them with one timer.

`asyncio.timeout`, and the client's own, set and cancel a timer for each request, which is a tenth of what a request
costs. Limits here are of many seconds and seldom reached, so it is enough to check all of them ten times a second.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


_CHECK_SECONDS = 0.1


class CancelScope:
    """A block of the current task, which `cancel` ends: `with scope: …`. For one block only.

    `asyncio.timeout(None)` with `reschedule` would be the standard way. It ends the block one round of the event loop
    later, in which one more request is sent after a 401, and it takes three times as long (1.9 us).
    """

    __slots__ = ("_before", "_cancelled", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._cancelled = False

    def __enter__(self) -> None:
        """Begin the block."""
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task else 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the block. Raises TimeoutError where it was cancelled, unless the task itself was cancelled as well."""
        task, self._task = self._task, None
        if task and self._cancelled and task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def cancel(self) -> None:
        """End the block in its wait. Nothing happens before its start, or after its end."""
        if self._task and not self._cancelled:
            self._cancelled = True
            self._task.cancel()


class Timeouts:
    """Ends blocks that take too long: `with timeouts.limit(30): …`."""

    def __init__(self) -> None:
        self.running: dict[CancelScope, float] = {}
        self._checking = False

    def limit(self, seconds: float) -> _TimeLimit:
        """A block that ends with TimeoutError within a tenth of a second after `seconds`."""
        loop = asyncio.get_running_loop()
        if not self._checking:
            self._checking = True
            loop.call_later(_CHECK_SECONDS, self._check, loop)
        return _TimeLimit(self.running, loop.time() + seconds)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for scope, due in self.running.items():
            if now >= due:
                scope.cancel()
        self._checking = bool(self.running)
        if self._checking:
            loop.call_later(_CHECK_SECONDS, self._check, loop)


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
