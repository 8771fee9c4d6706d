"""A lane: one workspace's windows, asked for `concurrency` at a time until each has exactly one outcome.

In: windows in the order of their importance. Out: outcomes, in any order, each handed to `record`, which may hold the
lane back. Key, pool and failure belong to a workspace, so lanes know nothing of one another.
Never here: what a reply means (`collector.api`), how often a window is asked for (`asking.py`), when a request may go
(`gate.py`), landing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import TYPE_CHECKING

from collector.api.errors import ApiError, GiveUpSeriesError, StopWorkspaceError
from collector.api.scopes import Scope
from collector.fetch.asking import Asking, HaltedError
from collector.fetch.breaker import Breaker
from collector.fetch.errand import Errand
from collector.fetch.gate import Gate
from collector.fetch.pool import Pool
from collector.fetch.progress import LaneProgress
from collector.outcome import Outcome, Skipped

if TYPE_CHECKING:
    from random import Random

    from collector.api.client import Api, Reply
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.fetch.pacing import Pacer
    from collector.fetch.stop import Stop
    from collector.model import SeriesKey, Window

log = logging.getLogger(__name__)

Record = Callable[[Outcome], Awaitable[None]]


class Lane:
    """The lane of one workspace, for one run. `progress` may be read at any moment."""

    def __init__(self, workspace: Workspace, api: Api, pacer: Pacer, clock: Clock, rng: Random, stop: Stop) -> None:
        self.progress = LaneProgress(workspace.name)
        self._name = workspace.name
        self._concurrency = workspace.concurrency
        self._clock = clock
        self._stop = stop
        self._breaker = Breaker(workspace.concurrency)
        rate = workspace.rate_limit
        self._gate = Gate(Pool(rate.per_hour, rate.reserve, rng.random), pacer, clock, self.progress)
        self._asking = Asking(workspace, api, self._gate, self._breaker, clock, rng, self.progress, self._refusal)
        self._errands: set[Errand] = set()
        self._halted = ""
        self._refused: dict[SeriesKey, str] = {}

    async def collect(self, windows: Collection[Window], record: Record) -> None:
        """Give each window one outcome to `record`: answered, failed, or, where the lane stops first, skipped.

        Raises:
            ExceptionGroup: of what `record` raised, after all else was cancelled. No failure of the API is raised.

        """
        self.progress.planned += len(windows)
        if not windows:
            return
        if self._stop.requested:
            self._halt(self._stop.reason)
        queue = iter(windows)
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._watch()), group.create_task(self._gate.dispatch())]
            count = min(self._concurrency, len(windows))
            await asyncio.wait([group.create_task(self._work(queue, record)) for _ in range(count)])
            for task in beside:
                task.cancel()

    async def _work(self, queue: Iterator[Window], record: Record) -> None:
        for window in queue:
            # Bound to no name: this frame would keep the points alive while it waits for the next ones.
            await record(await self._outcome(window))

    async def _watch(self) -> None:
        """Carry a stop into the lane: what waits ends at once, what is in flight after the grace."""
        await self._stop.wait()
        self._halt(self._stop.reason)
        await self._clock.sleep(self._stop.grace_seconds)
        for errand in tuple(self._errands):
            errand.call_off()

    def _halt(self, reason: str) -> None:
        """Send nothing more. The first reason stays."""
        if self._halted:
            return
        self._halted = self.progress.note = reason
        log.warning("%s: %s", self._name, reason)
        for errand in tuple(self._errands):
            if errand.waiting:
                errand.call_off()

    def _refusal(self, window: Window) -> str:
        """Why nothing more is to be sent for the window; empty while something is."""
        return self._halted or (self._refused.get(window.series.key, "") if self._refused else "")

    async def _outcome(self, window: Window) -> Outcome:
        refusal = self._refusal(window)
        if refusal:
            self.progress.skipped += 1
            return Skipped(window, refusal)
        errand = Errand(window)
        try:
            reply = await self._fetch(errand)
        except ApiError as error:
            self._judge(errand, error)
            self.progress.failed += 1
            return errand.failed(error, self._clock)
        except (HaltedError, TimeoutError):
            return self._called_off(errand)
        self._breaker.answered()
        self.progress.done += 1
        self.progress.rows += len(reply.points.buckets)
        log.debug("%s: answered with %d points, attempt %d", window.series, len(reply.points.buckets), errand.attempts)
        return errand.answered(reply, self._clock)

    async def _fetch(self, errand: Errand) -> Reply:
        """Ask, in a scope that `errand.call_off` ends with TimeoutError."""
        scope = errand.scope = Scope()
        with scope:
            self._errands.add(errand)
            try:
                return await self._asking.ask(errand)
            finally:
                self._errands.discard(errand)

    def _called_off(self, errand: Errand) -> Outcome:
        outcome = errand.called_off(self._refusal(errand.window), self._clock)
        if isinstance(outcome, Skipped):
            self.progress.skipped += 1
        else:
            self.progress.failed += 1
        return outcome

    def _judge(self, errand: Errand, error: ApiError) -> None:
        """What a window's failure means for the others."""
        series = errand.window.series
        if isinstance(error, StopWorkspaceError):
            self._halt(f"workspace stopped: {error}")
        elif isinstance(error, GiveUpSeriesError):
            if series.key not in self._refused:
                log.warning("%s: series refused: %s", series, error)
                self._breaker.series_refused()
            self._refused[series.key] = f"series refused: {error}"
        else:
            log.warning("%s: failed after %d attempts: %s", series, errand.attempts, error)
            self._breaker.window_failed()
        if self._breaker.tripped:
            self._halt(f"{self._breaker.tripped}; the last: {error}")
