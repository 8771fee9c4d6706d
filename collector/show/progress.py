"""Progress of a run: bars on a terminal, a log line every half minute elsewhere.

In: each workspace's FetchProgress, which is read and never written. Out: on a terminal, a block of lines that fits the
screen: one for each workspace at work, and one for all. It runs as a task of its own: an error in it ends the display
and never the run. rich is imported when bars are drawn, since it takes longer to load than help takes to print.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from collector.show.logs import redirect_lines
from collector.show.text import abbreviate, count, duration, format_rate, terminal_console

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime, timedelta

    from rich.console import Console, RenderableType
    from rich.text import Text

    from collector.clock import Clock
    from collector.fetch.progress import FetchProgress


log = logging.getLogger(__name__)

RATE_SECONDS = 15.0
"""Seconds over which the current rate is measured."""
REDRAW_SECONDS = 0.25
LOG_SECONDS = 30.0
WIDE = 120
"""Columns from which on there is room for long names, long bars, and the quota's limit."""

_COLUMN_STYLES = ("bold", "green", "", "", "", "red")


@contextlib.asynccontextmanager
async def watch(
    fetches: Sequence[FetchProgress], clock: Clock, stream: TextIO, *, quiet: bool, terminal: bool
) -> AsyncIterator[None]:
    """Show progress while the body runs.

    Args:
        fetches: the progress of each workspace; only read.
        clock: its sleep paces the display.
        stream: where bars are drawn; log lines for it are written above them meanwhile.
        quiet: show nothing.
        terminal: whether the stream is a terminal.

    """
    if quiet:
        yield
        return
    task = asyncio.create_task(_show(ProgressSampler(fetches, clock), clock, stream, terminal=terminal))
    try:
        yield
    finally:
        task.cancel()
        # `wait` does not raise what the task raised: an error of the display must not replace the run's own result.
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            log.warning("the progress display failed: %s", error, exc_info=error)


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """One workspace, or all of them, at one moment. `answered`, `failed`, `skipped` and `planned` count windows.

    `per_second` is the current rate; `seconds_left` is None while no rate is known. `quota` is (remaining, limit), each
    None until the API has reported it, and for several workspaces, whose quotas do not add up.
    """

    name: str
    planned: int
    answered: int
    failed: int
    skipped: int
    per_second: float
    seconds_left: float | None
    quota: tuple[int | None, int | None] | None = None
    paused_until: datetime | None = None
    note: str = ""

    @property
    def finished(self) -> int:
        """Windows that have an outcome."""
        return self.answered + self.failed + self.skipped

    @property
    def active(self) -> bool:
        """Whether some window has no outcome yet."""
        return self.finished < self.planned

    @property
    def state(self) -> str:
        """The rate or the pause, the reason of a stop, and the time left: `97/s, 2 min 5 s left`."""
        if not self.planned:
            return "nothing to do"
        if not self.active:
            return self.note or "done"
        rate = f"paused until {self.paused_until:%H:%M:%SZ}" if self.paused_until else format_rate(self.per_second)
        left = "" if self.seconds_left is None else f"{duration(self.seconds_left)} left"
        return ", ".join(filter(None, (rate, self.note, left)))


class ProgressSampler:
    """Reads progress repeatedly and computes rates from it."""

    def __init__(self, fetches: Sequence[FetchProgress], clock: Clock) -> None:
        self._clock = clock
        self._samples = [_Samples(progress, clock.monotonic()) for progress in fetches]

    def take(self) -> list[ProgressSnapshot]:
        """The present state of each workspace."""
        now, seconds = self._clock.now(), self._clock.monotonic()
        return [samples.take(now, seconds) for samples in self._samples]


class _Samples:
    """One workspace's progress, and the last few readings of its count of requested windows."""

    def __init__(self, progress: FetchProgress, seconds: float) -> None:
        self._progress = progress
        self._first = (seconds, self._requested)
        self._recent = deque([self._first])

    @property
    def _requested(self) -> int:
        """Windows with an answer or a failure. Skipped windows would raise the rate without taking any time."""
        return self._progress.done + self._progress.failed

    def take(self, now: datetime, seconds: float) -> ProgressSnapshot:
        # The oldest reading kept is the last one that is at least RATE_SECONDS old, so the rate always spans that long.
        self._recent.append((seconds, self._requested))
        while len(self._recent) > 2 and seconds - self._recent[1][0] >= RATE_SECONDS:
            self._recent.popleft()
        progress = self._progress
        # The limiter clears the pause with the next request, which may be later than the end of the pause.
        paused_until = progress.paused_until
        if paused_until is not None and paused_until <= now:
            paused_until = None
        return ProgressSnapshot(
            progress.name,
            progress.planned,
            progress.done,
            progress.failed,
            progress.skipped,
            self._rate_since(self._recent[0]),
            self._seconds_left((paused_until or now) - now),
            (progress.quota_remaining, progress.quota_limit),
            paused_until,
            progress.note,
        )

    def _rate_since(self, reading: tuple[float, int]) -> float:
        """Windows a second from a reading to the newest one."""
        seconds, requested = self._recent[-1]
        return (requested - reading[1]) / (seconds - reading[0]) if seconds > reading[0] else 0.0

    def _seconds_left(self, pause: timedelta) -> float | None:
        """The pause, and the rest at the current rate; where that is 0, as in a pause, at the rate since the start."""
        # Skipped windows take no time, so they are neither left nor in a rate.
        left = self._progress.planned - self._progress.skipped - self._requested
        per_second = self._rate_since(self._recent[0]) or self._rate_since(self._first)
        return pause.total_seconds() + left / per_second if per_second > 0 else None


def total(snapshots: Sequence[ProgressSnapshot]) -> ProgressSnapshot:
    """All workspaces as one. They run at the same time, so the longest time left is that of all."""
    left = [each.seconds_left for each in snapshots if each.active]
    return ProgressSnapshot(
        "all",
        sum(each.planned for each in snapshots),
        sum(each.answered for each in snapshots),
        sum(each.failed for each in snapshots),
        sum(each.skipped for each in snapshots),
        sum(each.per_second for each in snapshots),
        max((seconds for seconds in left if seconds is not None), default=None),
    )


def render_bars(snapshots: Sequence[ProgressSnapshot], width: int, height: int) -> RenderableType:
    """The workspaces as a block that fits a screen of that many columns and lines."""
    from rich.console import Group
    from rich.text import Text

    shown = _choose(snapshots, height - 3)  # room for the line of the others, the total, and the cursor
    last = [total(snapshots)] if len(snapshots) > 1 else []
    rows = [_cells(each, wide=width >= WIDE) for each in (*shown, *last)]
    # Widths over all rows, so that columns are aligned, the total's included.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_bar_line(each, row, widths) for each, row in zip((*shown, *last), rows, strict=True)]
    if len(shown) < len(snapshots):
        lines.insert(len(shown), Text(_hidden([each for each in snapshots if each not in shown]), style="dim"))
    return Group(*lines)


async def _show(sampler: ProgressSampler, clock: Clock, stream: TextIO, *, terminal: bool) -> None:
    console = terminal_console(stream) if terminal else None
    if console is None or console.is_dumb_terminal:
        await _log_progress(sampler, clock)
    else:
        await _draw_bars(sampler, clock, stream, console)


async def _draw_bars(sampler: ProgressSampler, clock: Clock, stream: TextIO, console: Console) -> None:
    """Draw until cancelled. Then the bars are removed: the summary that follows says more."""
    from rich.live import Live

    def write(line: str) -> None:
        console.print(line, soft_wrap=True)

    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
    with live, redirect_lines(stream, write):
        while True:
            live.update(render_bars(sampler.take(), console.width, console.height), refresh=True)
            await clock.sleep(REDRAW_SECONDS)


async def _log_progress(sampler: ProgressSampler, clock: Clock) -> None:
    """Log a line for each workspace every half minute, and a last one when it is done. A shorter run logs none."""
    done: set[str] = set()
    while True:
        await clock.sleep(LOG_SECONDS)
        for snapshot in sampler.take():
            if snapshot.planned and snapshot.name not in done:
                log.info("%s", _log_line(snapshot), extra=_log_fields(snapshot))
                if not snapshot.active:
                    done.add(snapshot.name)


def _choose(snapshots: Sequence[ProgressSnapshot], room: int) -> Sequence[ProgressSnapshot]:
    """All where they fit; else active ones first, then those with anything planned, each in the config's order."""
    if len(snapshots) <= room:
        return snapshots
    # The sort is stable: within a rank, the config's order stays.
    ranked = sorted(snapshots, key=lambda each: (not each.active, not each.planned))
    return ranked[: max(1, room)]


def _hidden(snapshots: Sequence[ProgressSnapshot]) -> str:
    active = sum(each.active for each in snapshots)
    return f"… and {len(snapshots):,} more" + (f" ({active:,} active)" if active else "")


def _cells(snapshot: ProgressSnapshot, *, wide: bool) -> list[str]:
    """Name, bar, percent, windows, quota, failures. The state follows them: it takes the rest of the line."""
    share = snapshot.finished / snapshot.planned if snapshot.planned else 1.0
    name_width, bar_width = (24, 20) if wide else (12, 8)
    filled = int(share * bar_width)
    name = snapshot.name if len(snapshot.name) <= name_width else f"{snapshot.name[: name_width - 1]}…"
    return [
        name,
        "━" * filled + "─" * (bar_width - filled),
        f"{int(share * 100)}%",
        f"{snapshot.finished:,}/{snapshot.planned:,}",
        _quota_cell(snapshot, wide=wide),
        f"{snapshot.failed:,} failed" if snapshot.failed else "",
    ]


def _quota_cell(snapshot: ProgressSnapshot, *, wide: bool) -> str:
    if snapshot.quota is None:
        return ""
    remaining, limit = snapshot.quota
    if remaining is None:
        return "quota ?"
    if not limit:
        return f"quota {abbreviate(remaining)}"
    return f"quota {abbreviate(remaining)}/{abbreviate(limit)}" if wide else f"quota {remaining * 100 // limit}%"


def _bar_line(snapshot: ProgressSnapshot, cells: Sequence[str], widths: Sequence[int]) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    for position, (cell, width, style) in enumerate(zip(cells, widths, _COLUMN_STYLES, strict=True)):
        if width:
            line.append(cell.rjust(width) if position else cell.ljust(width), style)
            line.append(" ")
    return line.append(snapshot.state, "yellow" if snapshot.paused_until or snapshot.note else "")


def _log_line(snapshot: ProgressSnapshot) -> str:
    remaining, limit = snapshot.quota or (None, None)
    of_limit = "" if limit is None else f" of {limit:,}"
    parts = (
        f"{snapshot.name}: {snapshot.answered:,} of {count(snapshot.planned, 'window')} answered",
        f"{snapshot.failed:,} failed" if snapshot.failed else "",
        f"{snapshot.skipped:,} skipped" if snapshot.skipped else "",
        "quota unknown" if remaining is None else f"quota {remaining:,}{of_limit}",
        snapshot.state,
    )
    return ", ".join(filter(None, parts))


def _log_fields(snapshot: ProgressSnapshot) -> dict[str, object]:
    """The same figures as members of a JSON log line."""
    remaining, limit = snapshot.quota or (None, None)
    return {
        "workspace": snapshot.name,
        "windows_planned": snapshot.planned,
        "windows_ok": snapshot.answered,
        "windows_failed": snapshot.failed,
        "windows_skipped": snapshot.skipped,
        "quota_remaining": remaining,
        "quota_limit": limit,
    }
