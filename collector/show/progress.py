"""Shows what lanes do while they do it: bars on a terminal, now and then a log line elsewhere.

In: the lanes' progress, which is only read. It draws on its own task, and what goes wrong there ends the drawing, never
the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TextIO

from collector.show.bars import draw
from collector.show.figures import count
from collector.show.logs import diverted
from collector.show.standing import Readings, Standing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from rich.console import Console

    from collector.clock import Clock
    from collector.fetch.progress import LaneProgress

log = logging.getLogger(__name__)

DRAWN_EVERY = 0.25
TOLD_EVERY = 30.0


@contextlib.asynccontextmanager
async def watch(
    lanes: Sequence[LaneProgress], clock: Clock, stream: TextIO, *, quiet: bool, terminal: bool
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
    task = asyncio.create_task(_show(Readings(lanes, clock), clock, stream, terminal=terminal))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            log.warning("progress could not be shown to the end: %s", error, exc_info=error)


async def _show(readings: Readings, clock: Clock, stream: TextIO, *, terminal: bool) -> None:
    console = _console(stream) if terminal else None
    if console is None or console.is_dumb_terminal:
        await _tell(readings, clock)
    else:
        await _draw(readings, clock, stream, console)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)


async def _draw(readings: Readings, clock: Clock, stream: TextIO, console: Console) -> None:
    """Bars, until cancelled; then they are taken away, since the summary tells more."""
    from rich.live import Live

    def write(line: str) -> None:
        console.print(line, soft_wrap=True)

    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
    with live, diverted(stream, write):
        while True:
            live.update(draw(readings.take(), console.width, console.height), refresh=True)
            await clock.sleep(DRAWN_EVERY)


async def _tell(readings: Readings, clock: Clock) -> None:
    """A line for each lane at work about every half minute, and one when it has ended; none for a short run."""
    ended: set[str] = set()
    while True:
        await clock.sleep(TOLD_EVERY)
        for standing in readings.take():
            if standing.planned and standing.name not in ended:
                log.info("%s", _line(standing), extra=_fields(standing))
                if not standing.active:
                    ended.add(standing.name)


def _line(standing: Standing) -> str:
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


def _fields(standing: Standing) -> dict[str, object]:
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
