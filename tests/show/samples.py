"""Builders with defaults, and a clock that a test moves."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from collector.buckets import day_number
from collector.config.settings import App, RateLimit, Workspace
from collector.lake.landing import LandingCounts
from collector.lake.recorder import OutcomeCounts
from collector.model import Failed, Reason, Scope, Series, SeriesKey, Skipped, Span, Unit, Window
from collector.summary import Summary, WorkspaceSummary

if TYPE_CHECKING:
    from collector.lake.store import LakeError

AS_OF = datetime(2026, 11, 23, 3, tzinfo=UTC)
FIRST = day_number(date(2026, 11, 1))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class SteppedClock:
    """A clock for tests: `step` moves its time and wakes the sleepers whose time has come. No real time passes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> datetime:
        return AS_OF + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.Event()
        self._sleepers.append((self.seconds + seconds, wake))
        await wake.wait()

    async def step(self, seconds: float) -> None:
        """Move the time, and let the woken tasks run."""
        await settle()
        self.seconds += seconds
        due = [wake for until, wake in self._sleepers if until <= self.seconds]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self.seconds]
        for wake in due:
            wake.set()
        await settle()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def make_workspace(name: str = "acme", rate_limit: RateLimit | None = None) -> Workspace:
    return Workspace(
        name,
        "https://rest.example",
        ZoneInfo("UTC"),
        apps=(App("ios", "id-ios"),),
        rate_limit=rate_limit or RateLimit(),
    )


def make_series(workspace: str = "acme", app: str = "ios", unit: Unit = Unit.DAY) -> Series:
    return Series(workspace, SeriesKey("sessions", Scope.APP, unit, f"id-{app}", None), app)


def make_window(series: Series | None = None, first: int = 0, length: int = 10, reason: Reason = Reason.NEW) -> Window:
    """A window; `first` counts its first bucket from 2026-11-01 (hours: from midnight UTC)."""
    series = series or make_series()
    base = FIRST if series.unit is Unit.DAY else FIRST * 24
    return Window(series, Span(base + first, base + first + length), reason)


def make_failure(window: Window | None = None, error: str = "unknown segment_id", status: int | None = 400) -> Failed:
    return Failed(window or make_window(), error, status, 1, AS_OF, 5)


def make_part(
    name: str = "acme",
    *,
    ok: int = 0,
    landed: LandingCounts | None = None,
    failures: tuple[Failed, ...] = (),
    skips: tuple[Skipped, ...] = (),
    problem: LakeError | None = None,
) -> WorkspaceSummary:
    """A workspace's part of a run, with one request for each window."""
    counts = OutcomeCounts(ok, len(failures), len(skips), ok + len(failures), landed or LandingCounts(), list(failures))
    for skipped in skips:
        counts.skips.setdefault(skipped.window.series.key, skipped)
        counts.skip_reasons[skipped.error] += 1
    return WorkspaceSummary(name, ok + len(failures) + len(skips), counts, problem)


def make_summary(*parts: WorkspaceSummary, interrupted: int | None = None) -> Summary:
    return Summary("20261123T030000Z-abc123", AS_OF, 125.4, parts, interrupted)
