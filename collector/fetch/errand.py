"""One window on its way through a lane: what was tried, since when, and how it can be called off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.api.errors import ApiError
from collector.outcome import Answered, Failed, Outcome, Skipped

if TYPE_CHECKING:
    from datetime import datetime

    from collector.api.client import Reply
    from collector.api.scopes import Scope
    from collector.clock import Clock
    from collector.model import Window


@dataclass(slots=True, eq=False)
class Errand:
    """`attempts` counts requests sent; `error` is the last one's; `waiting` says that no request is under way."""

    window: Window
    attempts: int = 0
    pauses: int = 0
    waiting: bool = True
    probation: bool = False
    replayed: bool = False
    error: ApiError | None = None
    requested_at: datetime | None = None
    started: float = 0.0
    scope: Scope | None = None

    def call_off(self) -> None:
        """End the wait that its worker is in, at once: the worker's own scope raises TimeoutError there."""
        if self.scope is not None:
            self.scope.end()

    def answered(self, reply: Reply, clock: Clock) -> Outcome:
        """The outcome of an answer."""
        points = reply.points
        requested_at, duration = self._timing(clock)
        return Answered(
            self.window, points.buckets, points.sessions, reply.http_status, self.attempts, requested_at, duration
        )

    def failed(self, error: ApiError, clock: Clock) -> Outcome:
        """The outcome of the last error."""
        return Failed(self.window, str(error), error.http_status, self.attempts, *self._timing(clock))

    def called_off(self, reason: str, clock: Clock) -> Outcome:
        """The outcome where the lane stopped first: skipped if never sent, else failed as it stood."""
        if self.attempts == 0:
            return Skipped(self.window, reason)
        if self.waiting and self.error is not None:
            return self.failed(self.error, clock)
        return self.failed(ApiError(f"interrupted: {reason}"), clock)

    def _timing(self, clock: Clock) -> tuple[datetime, int]:
        return self.requested_at or clock.now(), round((clock.monotonic() - self.started) * 1000)
