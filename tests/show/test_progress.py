from __future__ import annotations

import asyncio
import io
import logging
import re
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from collector.fetch.progress import FetchProgress
from collector.show.logs import configure
from collector.show.progress import ProgressSampler, ProgressSnapshot, render_bars, total, watch
from tests.show.samples import AS_OF, SteppedClock, settle

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """The package's log lines, as a stream."""
    logger = logging.getLogger("collector")
    kept, level, stream = list(logger.handlers), logger.level, io.StringIO()
    configure(logging.INFO, "text", [], stream)
    try:
        yield stream
    finally:
        logger.handlers[:] = kept
        logger.setLevel(level)


def rendered(snapshots: list[ProgressSnapshot], width: int = 110, height: int = 25) -> str:
    file = io.StringIO()
    console = Console(force_terminal=True, color_system=None, file=file, width=width, height=height, markup=False)
    console.print(render_bars(snapshots, width, height))
    return file.getvalue()


def make_snapshot(name: str = "acme", planned: int = 100, answered: int = 25, failed: int = 0) -> ProgressSnapshot:
    return ProgressSnapshot(name, planned, answered, failed, 0, 5.0, 15.0, (12_345, 250_000))


def test_a_workspace_is_one_line() -> None:
    """Name, percent, windows, quota, failures, rate and time left are on one line."""
    line = rendered([make_snapshot(answered=1000, planned=5000, failed=250)], width=130)
    assert line.count("\n") == 1
    for part in ("acme", "25%", "1,250/5,000", "quota 12k/250k", "250 failed", "5.0/s, 15 s left"):
        assert part in line


def test_a_narrow_screen_keeps_the_figures() -> None:
    """At 80 columns, long names are cut and the quota is a percentage; rate and time left are still shown."""
    line = rendered([make_snapshot("a-workspace-with-a-long-name", planned=5000, answered=1250)], width=80)
    assert line.count("\n") == 1
    for part in ("a-workspace…", "25%", "1,250/5,000", "quota 4%", "5.0/s, 15 s left"):
        assert part in line


def test_a_pause_and_its_note_are_shown() -> None:
    """A workspace that waits for its quota shows until when."""
    progress = FetchProgress(
        "acme", planned=10, done=5, paused_until=AS_OF + timedelta(minutes=50), note="quota is low"
    )
    clock = SteppedClock()
    sampler = ProgressSampler([progress], clock)
    assert "paused until 03:50:00Z, quota is low" in rendered(sampler.take())
    clock.seconds = 3000
    assert "paused" not in rendered(sampler.take())


def test_an_unknown_quota_is_a_question_mark() -> None:
    """Until the API has reported the quota, no figure is shown."""
    assert "quota ?" in rendered(ProgressSampler([FetchProgress("acme", planned=1)], SteppedClock()).take())


@pytest.mark.parametrize("height", [4, 10, 24, 60])
def test_a_hundred_workspaces_fit_the_screen(height: int) -> None:
    """Active workspaces are shown, the others are counted, and the total is the last line."""
    fetches = [make_snapshot(f"w{number}", answered=100 if number < 90 else 5) for number in range(100)]
    lines = rendered(fetches, width=80, height=height).splitlines()
    assert len(lines) < height
    assert lines[0].startswith("w90")
    assert f"… and {100 - len(lines) + 2:,} more"[:13] in lines[-2]
    assert lines[-1].startswith("all")
    assert all(len(line) <= 80 for line in lines)


def test_the_rate_is_the_current_one() -> None:
    """After half a minute at 10/s and half a minute at 2/s, the rate is 2/s; the time left follows from it."""
    progress, clock = FetchProgress("acme", planned=1000), SteppedClock()
    sampler = ProgressSampler([progress], clock)
    for second in range(1, 61):
        clock.seconds = second
        progress.done += 10 if second <= 30 else 2
        (snapshot,) = sampler.take()
    assert snapshot.per_second == pytest.approx(2)
    assert snapshot.seconds_left == pytest.approx((1000 - 360) / 2)


def test_time_left_counts_the_pause() -> None:
    """A paused workspace needs its pause, and then the time at its rate since the start."""
    progress, clock = FetchProgress("acme", planned=200), SteppedClock()
    sampler = ProgressSampler([progress], clock)
    clock.seconds, progress.done = 10, 100
    sampler.take()
    progress.paused_until = clock.now() + timedelta(seconds=600)
    assert sampler.take()[0].seconds_left == pytest.approx(610)


def test_the_total_takes_as_long_as_the_longest_workspace() -> None:
    """Counts add up. Times left do not, and a finished workspace has none."""
    finished = ProgressSnapshot("b", 10, 10, 0, 0, 1.0, 99.0)
    both = total([make_snapshot(), finished, ProgressSnapshot("c", 5, 0, 0, 0, 0.0, None)])
    assert (both.planned, both.finished, both.per_second, both.seconds_left) == (115, 35, 6.0, 15.0)


def test_without_a_terminal_progress_is_logged_every_half_minute() -> None:
    """Each workspace with planned windows has a line, and a last one when it is done. Nothing is drawn."""
    fetches = [FetchProgress("acme", planned=5000), FetchProgress("globex", planned=40), FetchProgress("idle")]

    async def scenario() -> None:
        clock = SteppedClock()
        async with watch(fetches, clock, drawn, quiet=False, terminal=False):
            for _ in range(3):
                fetches[0].done += 1200
                fetches[0].quota_remaining, fetches[0].quota_limit = 240_000, 250_000
                fetches[1].done, fetches[1].failed = 38, 2
                await clock.step(30)

    drawn = io.StringIO()
    with logged() as stream:
        asyncio.run(scenario())
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert (
        "INFO show.progress  acme: 1,200 of 5,000 windows answered, quota 240,000 of 250,000, 40/s, 1 min 35 s left"
        in (lines[0])
    )
    assert "globex: 38 of 40 windows answered, 2 failed, quota unknown, done" in lines[1]
    assert drawn.getvalue() == ""


def test_a_short_run_logs_no_progress() -> None:
    """A run of less than half a minute logs no progress and leaves no task behind."""

    async def scenario() -> int:
        clock = SteppedClock()
        async with watch([FetchProgress("acme", planned=5)], clock, io.StringIO(), quiet=False, terminal=False):
            await clock.step(29)
        return len(asyncio.all_tasks())

    with logged() as stream:
        assert asyncio.run(scenario()) == 1
    assert stream.getvalue() == ""


def test_quiet_shows_nothing() -> None:
    """With quiet=True there are neither bars nor lines."""

    async def scenario() -> None:
        clock = SteppedClock()
        async with watch([FetchProgress("acme", planned=5)], clock, drawn, quiet=True, terminal=True):
            await clock.step(60)

    drawn = io.StringIO()
    with logged() as stream:
        asyncio.run(scenario())
    assert stream.getvalue() + drawn.getvalue() == ""


def test_an_error_of_the_body_passes_through() -> None:
    """The display neither wraps nor hides an exception of the run."""

    async def scenario() -> None:
        async with watch([], SteppedClock(), io.StringIO(), quiet=False, terminal=True):
            await settle()
            raise KeyError("from the run")

    with pytest.raises(KeyError, match="from the run"):
        asyncio.run(scenario())


def test_a_terminal_that_goes_away_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars on a closed stream fail; the run continues, and the failure is logged."""
    monkeypatch.setenv("TERM", "xterm")

    async def scenario() -> str:
        closed = io.StringIO()
        closed.close()
        clock = SteppedClock()
        async with watch([FetchProgress("acme", planned=5)], clock, closed, quiet=False, terminal=True):
            await clock.step(1)
            return "went on"

    with logged() as stream:
        assert asyncio.run(scenario()) == "went on"
    assert "the progress display failed" in stream.getvalue()


def test_a_dumb_terminal_gets_log_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without cursor control gets log lines and no escape codes."""
    monkeypatch.setenv("TERM", "dumb")

    async def scenario() -> None:
        clock = SteppedClock()
        async with watch([FetchProgress("acme", planned=5)], clock, drawn, quiet=False, terminal=True):
            await clock.step(30)

    drawn = io.StringIO()
    with logged() as stream:
        asyncio.run(scenario())
    assert "acme: 0 of 5 windows answered" in stream.getvalue()
    assert drawn.getvalue() == ""


def test_log_lines_are_written_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log line is written in full on a line of its own, and the bars are drawn again below it."""
    monkeypatch.setenv("TERM", "xterm")
    progress, log = FetchProgress("acme", planned=4), logging.getLogger("collector.fetch.fetcher")

    async def scenario(stream: io.StringIO) -> None:
        clock = SteppedClock()
        async with watch([progress], clock, stream, quiet=False, terminal=True):
            await clock.step(1)
            log.warning("a line of %s", "x" * 200)
            progress.done = 3
            await clock.step(1)

    with logged() as stream:
        asyncio.run(scenario(stream))
        log.info("after")
    written = stream.getvalue()
    above, below = written.split("a line of " + "x" * 200 + "\n")
    assert "0/4" in above
    assert "0/4" in below
    assert "3/4" in below
    assert written.endswith("after\n")


@pytest.mark.parametrize(("no_color", "styled"), [("", True), ("1", False)])
def test_no_color_draws_plain_bars(monkeypatch: pytest.MonkeyPatch, no_color: str, styled: bool) -> None:
    """With NO_COLOR the bars are still drawn in place, but without any colour or bold text."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)

    async def scenario() -> None:
        clock = SteppedClock()
        async with watch([FetchProgress("acme", planned=4)], clock, drawn, quiet=False, terminal=True):
            await clock.step(1)

    drawn = io.StringIO()
    with logged():
        asyncio.run(scenario())
    assert "0/4" in drawn.getvalue()
    assert bool(re.search(r"\x1b\[[0-9;]+m", drawn.getvalue())) == styled
