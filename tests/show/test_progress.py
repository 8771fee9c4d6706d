from __future__ import annotations

import asyncio
import io
import logging
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from collector.fetch.fetcher import FetchProgress
from collector.show.logs import configure
from collector.show.progress import ProgressSampler, ProgressSnapshot, draw, total, watch
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


def rendered(standings: list[ProgressSnapshot], width: int = 110, height: int = 25) -> str:
    file = io.StringIO()
    console = Console(force_terminal=True, color_system=None, file=file, width=width, height=height, markup=False)
    console.print(draw(standings, width, height))
    return file.getvalue()


def make_standing(name: str = "acme", planned: int = 100, answered: int = 25, failed: int = 0) -> ProgressSnapshot:
    return ProgressSnapshot(name, planned, answered, failed, 0, 5.0, 15.0, (12_345, 250_000))


def test_a_lane_is_a_line_with_all_that_matters() -> None:
    """Name, percent, windows, pool, failures, pace and time left stand on one line."""
    line = rendered([make_standing(answered=1000, planned=5000, failed=250)], width=130)
    assert line.count("\n") == 1
    for part in ("acme", "25%", "1,250/5,000", "pool 12k/250k", "250 failed", "5.0/s, 15 s left"):
        assert part in line


def test_a_narrow_screen_keeps_the_figures() -> None:
    """On 80 columns long names are cut and the pool is a share, so that pace and time left still stand there."""
    line = rendered([make_standing("a-workspace-with-a-long-name", planned=5000, answered=1250)], width=80)
    assert line.count("\n") == 1
    for part in ("a-workspace…", "25%", "1,250/5,000", "pool 4%", "5.0/s, 15 s left"):
        assert part in line


def test_a_pause_and_its_note_are_shown() -> None:
    """A lane that waits for its pool says until when."""
    lane = FetchProgress("acme", planned=10, done=5, paused_until=AS_OF + timedelta(minutes=50), note="pool is low")
    clock = SteppedClock()
    readings = ProgressSampler([lane], clock)
    assert "paused until 03:50:00Z, pool is low" in rendered(readings.take())
    clock.seconds = 3000
    assert "paused" not in rendered(readings.take())


def test_an_unknown_pool_is_a_question_mark() -> None:
    """Until the API has told its pool, nothing is made up."""
    assert "pool ?" in rendered(ProgressSampler([FetchProgress("acme", planned=1)], SteppedClock()).take())


@pytest.mark.parametrize("height", [4, 10, 24, 60])
def test_a_hundred_workspaces_fit_the_screen(height: int) -> None:
    """Those at work are shown, the others counted, and the total stands below."""
    lanes = [make_standing(f"w{number}", answered=100 if number < 90 else 5) for number in range(100)]
    lines = rendered(lanes, width=80, height=height).splitlines()
    assert len(lines) < height
    assert lines[0].startswith("w90")
    assert f"… and {100 - len(lines) + 2:,} more"[:13] in lines[-2]
    assert lines[-1].startswith("all")
    assert all(len(line) <= 80 for line in lines)


def test_pace_is_that_of_late_and_time_left_follows_it() -> None:
    """Half a minute at 10/s and then 2/s: the pace is 2/s, and what is left is reckoned by it."""
    lane, clock = FetchProgress("acme", planned=1000), SteppedClock()
    readings = ProgressSampler([lane], clock)
    for second in range(1, 61):
        clock.seconds = second
        lane.done += 10 if second <= 30 else 2
        (standing,) = readings.take()
    assert standing.per_second == pytest.approx(2)
    assert standing.seconds_left == pytest.approx((1000 - 360) / 2)


def test_time_left_counts_the_pause() -> None:
    """A paused lane takes its pause and then its pace since the beginning."""
    lane, clock = FetchProgress("acme", planned=200), SteppedClock()
    readings = ProgressSampler([lane], clock)
    clock.seconds, lane.done = 10, 100
    readings.take()
    lane.paused_until = clock.now() + timedelta(seconds=600)
    assert readings.take()[0].seconds_left == pytest.approx(610)


def test_all_lanes_take_as_long_as_the_longest() -> None:
    """Lanes run at once: counts add up, durations do not, and an ended lane has none."""
    ended = ProgressSnapshot("b", 10, 10, 0, 0, 1.0, 99.0)
    both = total([make_standing(), ended, ProgressSnapshot("c", 5, 0, 0, 0, 0.0, None)])
    assert (both.planned, both.settled, both.per_second, both.seconds_left) == (115, 35, 6.0, 15.0)


def test_off_a_terminal_each_lane_is_told_every_half_minute() -> None:
    """A line for each lane with something to do, a last one when it has ended, and nothing drawn."""
    lanes = [FetchProgress("acme", planned=5000), FetchProgress("globex", planned=40), FetchProgress("idle")]

    async def scenario() -> None:
        clock = SteppedClock()
        async with watch(lanes, clock, drawn, quiet=False, terminal=False):
            for _ in range(3):
                lanes[0].done += 1200
                lanes[0].quota_remaining, lanes[0].quota_limit = 240_000, 250_000
                lanes[1].done, lanes[1].failed = 38, 2
                await clock.step(30)

    drawn = io.StringIO()
    with logged() as stream:
        asyncio.run(scenario())
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert (
        "INFO show.progress  acme: 1,200 of 5,000 windows answered, pool 240,000 of 250,000, 40/s, 1 min 35 s left"
        in (lines[0])
    )
    assert "globex: 38 of 40 windows answered, 2 failed, pool unknown, done" in lines[1]
    assert drawn.getvalue() == ""


def test_a_short_run_tells_nothing() -> None:
    """A run of less than half a minute leaves no progress line and no task behind."""

    async def scenario() -> int:
        clock = SteppedClock()
        async with watch([FetchProgress("acme", planned=5)], clock, io.StringIO(), quiet=False, terminal=False):
            await clock.step(29)
        return len(asyncio.all_tasks())

    with logged() as stream:
        assert asyncio.run(scenario()) == 1
    assert stream.getvalue() == ""


def test_quiet_shows_nothing() -> None:
    """Asked to be quiet, neither bars nor lines appear."""

    async def scenario() -> None:
        clock = SteppedClock()
        async with watch([FetchProgress("acme", planned=5)], clock, drawn, quiet=True, terminal=True):
            await clock.step(60)

    drawn = io.StringIO()
    with logged() as stream:
        asyncio.run(scenario())
    assert stream.getvalue() + drawn.getvalue() == ""


def test_the_body_s_own_error_comes_out_as_it_is() -> None:
    """The showing neither wraps nor swallows what the run raises, and ends with it."""

    async def scenario() -> None:
        async with watch([], SteppedClock(), io.StringIO(), quiet=False, terminal=True):
            await settle()
            raise KeyError("from the run")

    with pytest.raises(KeyError, match="from the run"):
        asyncio.run(scenario())


def test_a_terminal_that_goes_away_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars on a closed stream fail alone; the run's body goes on and the log says so."""
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
    assert "progress could not be shown to the end" in stream.getvalue()


def test_a_terminal_that_cannot_be_drawn_on_is_told_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dumb terminal gets the log lines and no escapes."""
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


def test_log_lines_stand_whole_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """While bars are up, a log line is written through them: whole, on its own line, and the bars drawn anew below."""
    monkeypatch.setenv("TERM", "xterm")
    lane, log = FetchProgress("acme", planned=4), logging.getLogger("collector.fetch.lane")

    async def scenario(stream: io.StringIO) -> None:
        clock = SteppedClock()
        async with watch([lane], clock, stream, quiet=False, terminal=True):
            await clock.step(1)
            log.warning("a line of %s", "x" * 200)
            lane.done = 3
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
