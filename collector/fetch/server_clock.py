"""Compares clocks with the server's, by the `Date` of each answer: what may be requested, and landed, depends on them.

In: a window and the `Date` of its answer. Out: nothing, or the error that the window or its workspace fails with. `Age`
is ignored: an answer from a cache has a `Date` in the past, which is on the safe side.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from collector.api.errors import NotClosedError, WorkspaceRefusedError
from collector.buckets import start_of

if TYPE_CHECKING:
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.model import Window

log = logging.getLogger(__name__)

LARGEST_SKEW = timedelta(hours=1)
_NOTED_SKEW = timedelta(seconds=60)
_RESOLUTION = timedelta(seconds=2)
"""A `Date` has no fractions of a second, and is written before the answer arrives."""


class ServerClock:
    """The check of one workspace. `as_of`: the run's. `as_of_given`: by the user, and not by this machine's clock."""

    def __init__(self, workspace: Workspace, clock: Clock, as_of: datetime | None, *, as_of_given: bool) -> None:
        self._workspace, self._clock = workspace, clock
        self._as_of, self._as_of_given = as_of or clock.now(), as_of_given
        self._noted = False
        self._refused = self._not_closed = ""

    def check(self, window: Window, date: datetime | None) -> None:
        """Check an answer before it is recorded.

        Raises:
            WorkspaceRefusedError: this machine's clock is wrong by more than an hour. Later answers fail as well.
            NotClosedError: the window has a bucket that has not ended yet by the server's clock.

        """
        self._check_machine(date)
        if self._refused:
            raise WorkspaceRefusedError(self._refused, http_status=200)
        if date is not None:
            self._check_closed(window, date)

    def _check_machine(self, date: datetime | None) -> None:
        if date is None or self._as_of_given:
            return
        now = self._clock.now()
        skew = abs(now - date)
        if skew > LARGEST_SKEW + _RESOLUTION:
            self._refused = (
                f"this machine's clock says {_written(now)}, the server's says {_written(date)}: nothing is landed; "
                "set this machine's clock"
            )
        elif skew > _NOTED_SKEW and not self._noted:
            self._noted = True
            log.warning(
                "%s: this machine's clock is %d s %s the server's: set it, or buckets are requested at the wrong time",
                self._workspace.name, round(skew.total_seconds()), "ahead of" if now > date else "behind",
            )  # fmt: skip

    def _check_closed(self, window: Window, date: datetime) -> None:
        end = start_of(window.series.unit, window.span.stop, self._workspace.timezone)
        if end - date > _RESOLUTION:
            raise NotClosedError(self._not_closed or self._describe(date), http_status=200)

    def _describe(self, date: datetime) -> str:
        """One text for all windows of the run, so that the summary has one paragraph for them."""
        ahead = timedelta(seconds=round((self._as_of - date).total_seconds()))
        self._not_closed = (
            f"not closed: as_of {_written(self._as_of)} is {ahead} ahead of the server's clock, {_written(date)}; the "
            "window has not ended by it, and nothing of it is landed"
        )
        return self._not_closed


def _written(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
