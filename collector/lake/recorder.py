"""The recorder: outcomes into the journal within seconds, and the journal into the lake.

In: the outcomes of one workspace's run, as they come. Out: journal entries, landings, and counts for the summary. A
journal is landed at the end, and before that whenever it has grown past a limit. Memory is bounded: `record` waits
while a full buffer is written. Files are written off the event loop: one entry at a time, and one landing beside it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from collector.lake.journal import journal_of, pending_journals, read_journal, write_entry
from collector.lake.landing import LandingCounts, WorkspaceLake, land
from collector.lake.store import LakeBusy
from collector.model import Answered, Failed, Outcome, SeriesKey, Skipped, Span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from collector.clock import Clock
    from collector.lake.journal import Entry, LandingId

T = TypeVar("T")

_SMALL_BUFFER = 1_000
"""Points. A buffer that is smaller is not written early: hundreds of tiny entries would cost more than they free."""


class Offload(Protocol):
    """Runs a function off the event loop."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Call the function and return its result, or raise its exception."""
        ...


@dataclass(frozen=True, slots=True)
class RecorderLimits:
    """When the buffer is written to the journal (points, seconds), and when the journal is landed during a run (bytes).

    An outcome waits for at most `flush_seconds`, unless an entry is being written at the time.
    """

    flush_points: int = 100_000
    flush_seconds: float = 5.0
    land_bytes: int = 64 * 1024 * 1024


@dataclass(slots=True)
class OutcomeCounts:
    """The outcomes recorded so far. `failures`: each failed window. `skips`: one for each series, over its windows."""

    ok: int = 0
    failed: int = 0
    skipped: int = 0
    attempts: int = 0
    landed: LandingCounts = field(default_factory=LandingCounts)
    failures: list[Failed] = field(default_factory=list)
    skips: dict[SeriesKey, Skipped] = field(default_factory=dict)
    skip_reasons: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class PointBudget:
    """Points that the buffers of all workspaces of the process hold together. Above `limit`, buffers are written early.

    Each workspace's own limit is enough for a few workspaces. For hundreds, the sum is what the memory has to hold.
    """

    limit: int = 2_000_000
    used: int = 0


@dataclass(frozen=True, slots=True)
class RecorderResources:
    """What a recorder works with. `landings`: those of the process that may be at work at once; `points`: likewise."""

    clock: Clock
    offload: Offload
    landings: asyncio.Semaphore
    points: PointBudget
    limits: RecorderLimits = RecorderLimits()


class Recorder:
    """Records the outcomes of one workspace's run: `start`, then `record` for each, then `close`.

    `landing_id` is that of the first landing; those that follow count its number up.
    """

    def __init__(self, lake: WorkspaceLake, landing_id: LandingId, resources: RecorderResources) -> None:
        self.counts = OutcomeCounts()
        self._lake, self._landing_id, self._limits = lake, landing_id, resources.limits
        self._clock, self._offload = resources.clock, resources.offload
        self._landings, self._budget = resources.landings, resources.points
        self._buffer: list[Outcome] = []
        self._points = 0  # in the buffer
        self._buffered_since = self._clock.monotonic()
        self._entries = self._bytes = 0  # of the journal
        # The journal's entries while all of them have no more points than one buffer; then none of them.
        self._in_memory: list[Entry] = []
        self._points_in_memory = 0
        self._writing = asyncio.Lock()
        self._landing: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Flush and land in tasks of the group, so that a failure there ends the workspace's run at once."""
        self._tasks = tasks
        self._flushing = tasks.create_task(self._flush_often())

    async def record(self, outcome: Outcome) -> None:
        """Record one outcome. Waits while a full buffer is written."""
        if isinstance(outcome, Skipped):
            self._skip(outcome)
            return
        self._count(outcome)
        if not self._buffer:
            self._buffered_since = self._clock.monotonic()
        self._buffer.append(outcome)
        if isinstance(outcome, Answered):
            self._points += len(outcome.buckets)
            self._budget.used += len(outcome.buckets)
        over_budget = self._budget.used > self._budget.limit and self._points >= _SMALL_BUFFER
        if over_budget or self._points >= self._limits.flush_points:
            await self._flush()

    async def close(self) -> None:
        """Write and land everything that was recorded."""
        async with self._writing:
            # At the end, because the span of a skipped series may grow until then.
            self._buffer += self.counts.skips.values()
            await self._write()
            if self._entries:
                await self._seal()
            await self._landed()
        self._flushing.cancel()

    async def _flush_often(self) -> None:
        """Flush whenever the oldest outcome in the buffer is about to be `flush_seconds` old. Runs until cancelled."""
        while True:
            # Checked five times in the period. What is older than four fifths would be too old at the next check.
            await self._clock.sleep(self._limits.flush_seconds / 5)
            if self._buffer and self._clock.monotonic() - self._buffered_since >= self._limits.flush_seconds * 0.8:
                await self._flush()

    async def _flush(self) -> None:
        """Write the buffer to the journal, and land the journal where it is larger than its limit."""
        # One entry at a time. A caller of `record` with a full buffer waits here, and with it the requests of its
        # worker: so the buffer is bounded when the disk is slower than the API.
        async with self._writing:
            await self._write()
            if self._bytes >= self._limits.land_bytes:
                await self._seal()

    async def _write(self) -> None:
        # The buffer is taken before the first await: outcomes that are recorded meanwhile go to the next entry.
        outcomes, self._buffer = self._buffer, []
        points, self._points = self._points, 0
        if not outcomes:
            return
        self._entries += 1
        lake, landing_id, number = self._lake, self._landing_id, self._entries
        try:
            entry = await self._offload(lambda: write_entry(lake.store, lake.workspace, landing_id, number, outcomes))
            self._bytes += entry.size
            self._in_memory.append(entry)
            self._points_in_memory += points
            if self._points_in_memory > self._limits.flush_points and number > 1:
                self._in_memory.clear()
        finally:
            self._budget.used -= points  # also where the entry could not be written: its points are dropped

    async def _seal(self) -> None:
        """Land the journal while the next one fills.

        One landing at a time: where the next journal is full before this one has landed, the flush waits, and soon the
        workers, too. So there are never more than two journals.
        """
        await self._landed()
        # Entries from here on belong to the next journal. If the landing fails, this one keeps its name, and the next
        # run lands it.
        sealed = self._landing_id
        # Where the answers fit one buffer, they are still in memory, and nothing is read back.
        entries = self._in_memory if len(self._in_memory) == self._entries else []
        self._landing_id = replace(sealed, number=sealed.number + 1)
        self._entries = self._bytes = self._points_in_memory = 0
        self._in_memory = []
        self._landing = self._tasks.create_task(self._land(sealed, entries))

    async def _land(self, sealed: LandingId, entries: Sequence[Entry]) -> None:
        async with self._landings:
            self.counts.landed += await self._offload(lambda: _land_journal(self._lake, sealed, entries))

    async def _landed(self) -> None:
        """Wait for the landing that is at work, if any."""
        if self._landing is not None:
            await self._landing

    def _count(self, outcome: Answered | Failed) -> None:
        self.counts.attempts += outcome.attempts
        if isinstance(outcome, Answered):
            self.counts.ok += 1
        else:
            self.counts.failed += 1
            self.counts.failures.append(outcome)

    def _skip(self, outcome: Skipped) -> None:
        """Count a skipped window, and extend the one outcome of its series to it."""
        # A workspace that stops early may skip a million windows: one outcome is kept for each series, and widened.
        self.counts.skipped += 1
        self.counts.skip_reasons[outcome.error] += 1
        key, span = outcome.window.series.key, outcome.window.span
        first = self.counts.skips.setdefault(key, outcome)
        if first is not outcome:
            others = first.series_span or first.window.span
            hull = Span(min(others.first, span.first), max(others.stop, span.stop))
            self.counts.skips[key] = first._replace(series_span=hull)


def _land_journal(lake: WorkspaceLake, landing_id: LandingId, entries: Sequence[Entry]) -> LandingCounts:
    """Land the journal of a landing. `entries`: all of its entries, where they are still in memory."""
    if entries:
        return land(lake, journal_of(landing_id, entries))
    files = pending_journals(lake.store, lake.workspace).get(landing_id.name)
    if files is None:
        raise LakeBusy(
            f"workspace {lake.workspace}: another run has taken over this workspace and has landed this run's journal"
        )
    journal = read_journal(lake.store, files)
    return land(lake, journal) if journal else LandingCounts()
