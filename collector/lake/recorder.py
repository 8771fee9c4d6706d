"""The recorder: outcomes into the journal within seconds, the journal into the lake when it has grown, or at the end.

It holds a bounded number of points in memory; whoever records waits while a full buffer is being written. Files are
written off the event loop, one at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from collector.lake import journal
from collector.lake.landing import LandingCounts, WorkspaceLake, land
from collector.lake.store import LakeBusy
from collector.model import Answered, Failed, Outcome, SeriesKey, Skipped, Span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collector.clock import Clock
    from collector.lake.journal import LandingId

T = TypeVar("T")


class Offload(Protocol):
    """Runs a function off the event loop and gives its result."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Start it."""
        ...


@dataclass(frozen=True, slots=True)
class RecorderLimits:
    """When a buffer goes to the journal (points, seconds), and when a journal is landed in mid-run (bytes)."""

    flush_points: int = 100_000
    flush_seconds: float = 5.0
    land_bytes: int = 64 * 1024 * 1024


DEFAULT_LIMITS = RecorderLimits()


@dataclass(slots=True)
class OutcomeCounts:
    """What became of the windows so far. `failures` are the failed ones, `skips` the skipped, one a series."""

    ok: int = 0
    failed: int = 0
    skipped: int = 0
    attempts: int = 0
    landed: LandingCounts = field(default_factory=LandingCounts)
    failures: list[Failed] = field(default_factory=list)
    skips: dict[SeriesKey, Skipped] = field(default_factory=dict)
    skip_reasons: Counter[str] = field(default_factory=Counter)


class Recorder:
    """Takes the outcomes of one workspace's run: `record` each, then `close`."""

    def __init__(
        self,
        lake: WorkspaceLake,
        origin: LandingId,
        clock: Clock,
        offload: Offload,
        bounds: RecorderLimits = RecorderLimits(),
    ) -> None:
        self.counts = OutcomeCounts()
        self._ground, self._origin, self._clock, self._offload, self._bounds = lake, origin, clock, offload, bounds
        self._waiting: list[Outcome] = []
        self._points = 0
        self._entries = 0
        self._bytes = 0
        self._since = clock.monotonic()
        self._writing = asyncio.Lock()

    async def record(self, outcome: Outcome) -> None:
        """Take one outcome; waits while the buffer is full."""
        if isinstance(outcome, Skipped):
            self._skip(outcome)
            return
        self._count(outcome)
        if not self._waiting:
            self._since = self._clock.monotonic()
        self._waiting.append(outcome)
        if isinstance(outcome, Answered):
            self._points += len(outcome.buckets)
        if self._points >= self._bounds.flush_points:
            await self.flush()

    async def flush_often(self) -> None:
        """Flush whatever has waited long enough; runs until it is cancelled."""
        while True:
            await self._clock.sleep(self._bounds.flush_seconds / 5)
            if self._waiting and self._clock.monotonic() - self._since >= self._bounds.flush_seconds * 0.8:
                await self.flush()

    async def flush(self) -> None:
        """Write what waits to the journal; land the journal where that has grown past its bound."""
        async with self._writing:
            await self._write()
            if self._bytes >= self._bounds.land_bytes:
                await self._land()

    async def close(self) -> None:
        """Write and land all that was recorded."""
        async with self._writing:
            self._waiting += self.counts.skips.values()
            await self._write()
            if self._entries:
                await self._land()

    async def _write(self) -> None:
        outcomes, self._waiting, self._points = self._waiting, [], 0
        if outcomes:
            self._entries += 1
            store, workspace, origin, number = self._ground.store, self._ground.workspace, self._origin, self._entries
            self._bytes += await self._offload(lambda: journal.write(store, workspace, origin, number, outcomes))

    async def _land(self) -> None:
        self.counts.landed += await self._offload(lambda: _land_journal(self._ground, self._origin))
        self._origin = replace(self._origin, number=self._origin.number + 1)
        self._entries = self._bytes = 0

    def _count(self, outcome: Answered | Failed) -> None:
        self.counts.attempts += outcome.attempts
        if isinstance(outcome, Answered):
            self.counts.ok += 1
        else:
            self.counts.failed += 1
            self.counts.failures.append(outcome)

    def _skip(self, outcome: Skipped) -> None:
        """Keep one outcome a series, over all of its skipped windows."""
        self.counts.skipped += 1
        self.counts.skip_reasons[outcome.error] += 1
        kept = self.counts.skips.setdefault(outcome.window.series.key, outcome)
        if kept is not outcome:
            whole = _hull(kept.whole or kept.window.span, outcome.window.span)
            self.counts.skips[outcome.window.series.key] = kept._replace(whole=whole)


def _hull(one: Span, other: Span) -> Span:
    return Span(min(one.first, other.first), max(one.stop, other.stop))


def _land_journal(lake: WorkspaceLake, origin: LandingId) -> LandingCounts:
    files = journal.pending_journals(lake.store, lake.workspace).get(origin.landing_id)
    if files is None:
        raise LakeBusy(f"workspace {lake.workspace}: another run has taken it meanwhile, and landed this one's journal")
    content = journal.read(lake.store, files)
    return land(lake, content) if content else LandingCounts()
