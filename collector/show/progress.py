"""Where lanes stand at one moment: what they did, how fast of late, how much is left. Reads progress, draws nothing.

Progress on a terminal: a line and a bar for each workspace at work, and one for all of them. It draws alone.

In: standings and the screen's size. Out: a block that fits it, line by line; the last column takes what room is left,
and is cut there. rich is imported where it is used: the program's help must not wait for it.

Shows what lanes do while they do it: bars on a terminal, now and then a log line elsewhere.

In: the lanes' progress, which is only read. It draws on its own task, and what goes wrong there ends the drawing, never
the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from collector.show.logs import redirect_lines
from collector.show.text import abbreviate, count, duration, format_rate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime, timedelta

    from rich.console import Console, RenderableType
    from rich.text import Text

    from collector.clock import Clock
    from collector.fetch.fetcher import FetchProgress


OF_LATE = 15.0
"""Seconds over which the present pace is taken."""


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """A lane, or all of them, at one moment. `answered`, `failed`, `skipped`, `planned` count windows.

    `seconds_left` is None while the pace is unknown. `pool` is (left, limit), each None while the API has not told it;
    pools of several lanes make no sum.
    """

    name: str
    planned: int
    answered: int
    failed: int
    skipped: int
    per_second: float
    seconds_left: float | None
    pool: tuple[int | None, int | None] | None = None
    paused_until: datetime | None = None
    note: str = ""

    @property
    def settled(self) -> int:
        """Windows that have their outcome."""
        return self.answered + self.failed + self.skipped

    @property
    def active(self) -> bool:
        """Whether windows are still to come."""
        return self.settled < self.planned

    @property
    def state(self) -> str:
        """How it goes, in a few words: pace, pause, reason of a stop, time left."""
        if not self.planned:
            return "nothing to do"
        if not self.active:
            return self.note or "done"
        paused = f"paused until {self.paused_until:%H:%M:%SZ}" if self.paused_until else format_rate(self.per_second)
        left = "" if self.seconds_left is None else f"{duration(self.seconds_left)} left"
        return ", ".join(filter(None, (paused, self.note, left)))


class ProgressSampler:
    """Reads lanes again and again, and so knows their pace."""

    def __init__(self, lanes: Sequence[FetchProgress], clock: Clock) -> None:
        self._clock = clock
        self._tracks = [_Samples(lane, clock.monotonic()) for lane in lanes]

    def take(self) -> list[ProgressSnapshot]:
        """Where each lane stands now."""
        now, seconds = self._clock.now(), self._clock.monotonic()
        return [track.standing(now, seconds) for track in self._tracks]


def total(standings: Sequence[ProgressSnapshot]) -> ProgressSnapshot:
    """All lanes as one. They run at the same time, so the longest is what is left."""
    left = [one.seconds_left for one in standings if one.active]
    return ProgressSnapshot(
        "all",
        sum(one.planned for one in standings),
        sum(one.answered for one in standings),
        sum(one.failed for one in standings),
        sum(one.skipped for one in standings),
        sum(one.per_second for one in standings),
        max((one for one in left if one is not None), default=None),
    )


class _Samples:
    """One lane and what it had done at the last few readings."""

    def __init__(self, lane: FetchProgress, seconds: float) -> None:
        self._lane = lane
        self._began = (seconds, _asked(lane))
        self._samples = deque([self._began])

    def standing(self, now: datetime, seconds: float) -> ProgressSnapshot:
        lane = self._lane
        self._samples.append((seconds, _asked(lane)))
        while len(self._samples) > 2 and seconds - self._samples[1][0] >= OF_LATE:
            self._samples.popleft()
        paused_until = lane.paused_until if lane.paused_until is not None and lane.paused_until > now else None
        return ProgressSnapshot(
            lane.name,
            lane.planned,
            lane.done,
            lane.failed,
            lane.skipped,
            self._pace_since(self._samples[0]),
            self._seconds_left((paused_until or now) - now),
            (lane.quota_remaining, lane.quota_limit),
            paused_until,
            lane.note,
        )

    def _pace_since(self, then: tuple[float, int]) -> float:
        seconds, asked = self._samples[-1]
        return (asked - then[1]) / (seconds - then[0]) if seconds > then[0] else 0.0

    def _seconds_left(self, pause: timedelta) -> float | None:
        """At the pace of late or, in a pause, at that since the beginning; None where there is no pace."""
        lane = self._lane
        left = lane.planned - lane.skipped - _asked(lane)
        per_second = self._pace_since(self._samples[0]) or self._pace_since(self._began)
        return pause.total_seconds() + left / per_second if per_second > 0 else None


def _asked(lane: FetchProgress) -> int:
    return lane.done + lane.failed


WIDE = 120
"""Columns from which on there is room for long names, long bars, and the pool's limit."""

_STYLES = ("bold", "green", "", "", "", "red")


def draw(standings: Sequence[ProgressSnapshot], width: int, height: int) -> RenderableType:
    """The lanes as a block for a screen of so many columns and lines."""
    from rich.console import Group
    from rich.text import Text

    shown = _most_telling(standings, height - 3)  # room for the others, the total, and the cursor's line
    last = [total(standings)] if len(standings) > 1 else []
    rows = [_cells(one, wide=width >= WIDE) for one in (*shown, *last)]
    lines = [_draw_line(one, row, _widths(rows)) for one, row in zip((*shown, *last), rows, strict=True)]
    if len(shown) < len(standings):
        lines.insert(len(shown), Text(_more([one for one in standings if one not in shown]), style="dim"))
    return Group(*lines)


def _most_telling(standings: Sequence[ProgressSnapshot], room: int) -> Sequence[ProgressSnapshot]:
    """Those at work first, then those that had something to do, each as the config orders them; all where they fit."""
    if len(standings) <= room:
        return standings
    ranked = sorted(standings, key=lambda one: (not one.active, not one.planned))
    return ranked[: max(1, room)]


def _more(hidden: Sequence[ProgressSnapshot]) -> str:
    working = sum(one.active for one in hidden)
    return f"… and {len(hidden):,} more" + (f" ({working:,} at work)" if working else "")


def _cells(standing: ProgressSnapshot, *, wide: bool) -> list[str]:
    """Name, bar, percent, windows, pool, failures."""
    share = standing.settled / standing.planned if standing.planned else 1.0
    name_room, bar_room = (24, 20) if wide else (12, 8)
    filled = int(share * bar_room)
    name = standing.name if len(standing.name) <= name_room else f"{standing.name[: name_room - 1]}…"
    return [
        name,
        "━" * filled + "─" * (bar_room - filled),
        f"{int(share * 100)}%",
        f"{standing.settled:,}/{standing.planned:,}",
        _pool(standing, wide=wide),
        f"{standing.failed:,} failed" if standing.failed else "",
    ]


def _pool(standing: ProgressSnapshot, *, wide: bool) -> str:
    if standing.pool is None:
        return ""
    left, limit = standing.pool
    if left is None:
        return "pool ?"
    if not limit:
        return f"pool {abbreviate(left)}"
    return f"pool {abbreviate(left)}/{abbreviate(limit)}" if wide else f"pool {left * 100 // limit}%"


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _draw_line(standing: ProgressSnapshot, cells: Sequence[str], widths: Sequence[int]) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    for place, (cell, room, style) in enumerate(zip(cells, widths, _STYLES, strict=True)):
        if room:
            line.append(cell.rjust(room) if place else cell.ljust(room), style)
            line.append(" ")
    return line.append(standing.state, "yellow" if standing.paused_until or standing.note else "")


log = logging.getLogger(__name__)

DRAWN_EVERY = 0.25
TOLD_EVERY = 30.0


@contextlib.asynccontextmanager
async def watch(
    lanes: Sequence[FetchProgress], clock: Clock, stream: TextIO, *, quiet: bool, terminal: bool
) -> AsyncIterator[None]:
    """Show the lanes while the body runs.

    Args:
        lanes: read again and again; nothing is written to them.
        clock: paces the showing.
        stream: where bars are drawn; log lines meant for it meanwhile go above them.
        quiet: show nothing.
        terminal: whether the stream can be drawn upon.

    """
    if quiet:
        yield
        return
    task = asyncio.create_task(_show(ProgressSampler(lanes, clock), clock, stream, terminal=terminal))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            log.warning("progress could not be shown to the end: %s", error, exc_info=error)


async def _show(readings: ProgressSampler, clock: Clock, stream: TextIO, *, terminal: bool) -> None:
    console = _console(stream) if terminal else None
    if console is None or console.is_dumb_terminal:
        await _tell(readings, clock)
    else:
        await _draw(readings, clock, stream, console)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)


async def _draw(readings: ProgressSampler, clock: Clock, stream: TextIO, console: Console) -> None:
    """Bars, until cancelled; then they are taken away, since the summary tells more."""
    from rich.live import Live

    def write(line: str) -> None:
        console.print(line, soft_wrap=True)

    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
    with live, redirect_lines(stream, write):
        while True:
            live.update(draw(readings.take(), console.width, console.height), refresh=True)
            await clock.sleep(DRAWN_EVERY)


async def _tell(readings: ProgressSampler, clock: Clock) -> None:
    """A line for each lane at work about every half minute, and one when it has ended; none for a short run."""
    ended: set[str] = set()
    while True:
        await clock.sleep(TOLD_EVERY)
        for standing in readings.take():
            if standing.planned and standing.name not in ended:
                log.info("%s", _line(standing), extra=_fields(standing))
                if not standing.active:
                    ended.add(standing.name)


def _line(standing: ProgressSnapshot) -> str:
    left, limit = standing.pool or (None, None)
    pool = "pool unknown" if left is None else f"pool {left:,}" + ("" if limit is None else f" of {limit:,}")
    parts = (
        f"{standing.name}: {standing.answered:,} of {count(standing.planned, 'window')} answered",
        f"{standing.failed:,} failed" if standing.failed else "",
        f"{standing.skipped:,} skipped" if standing.skipped else "",
        pool,
        standing.state,
    )
    return ", ".join(filter(None, parts))


def _fields(standing: ProgressSnapshot) -> dict[str, object]:
    """For JSON logs."""
    left, limit = standing.pool or (None, None)
    return {
        "workspace": standing.name,
        "windows_planned": standing.planned,
        "windows_ok": standing.answered,
        "windows_failed": standing.failed,
        "windows_skipped": standing.skipped,
        "pool_remaining": left,
        "pool_limit": limit,
    }
