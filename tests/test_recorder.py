from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING

from collector.buckets import day_number
from collector.clock import SystemClock
from collector.commands import on_a_thread
from collector.lake.journal import LandingId
from collector.lake.landing import WorkspaceLake
from collector.lake.local import LocalStore
from collector.lake.paths import FileKind, internal_folder
from collector.lake.recorder import PointBudget, Recorder, RecorderLimits, RecorderResources
from collector.model import Answered, Reason, Scope, Series, SeriesKey, Span, Unit, Window
from tests.support.builders import NOW, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.store import Replacement, Version

FIRST_DAY = day_number(NOW.date()) - 100


class SlowStore(LocalStore):
    """A folder in which the first landing waits for the second journal: for its first entry, or twenty seconds."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, internal_folder("acme"))
        self.next_journal = threading.Event()
        self.waited = False

    def publish(self, replacement: Replacement) -> Version:
        if "-0002/" in replacement.path:
            self.next_journal.set()
        elif FileKind.of(replacement.path) is FileKind.DATA and not self.waited:
            self.waited = True
            assert self.next_journal.wait(20), "nothing was journaled while a landing was at work"
        return super().publish(replacement)


class CountingStore(LocalStore):
    """A folder that counts the entries of its journals."""

    entries = 0

    def publish(self, replacement: Replacement) -> Version:
        self.entries += FileKind.of(replacement.path) is FileKind.JOURNAL
        return super().publish(replacement)


def answer(number: int) -> Answered:
    """One point of one series."""
    window = Window(
        Series("acme", SeriesKey("sessions", Scope.APP, Unit.DAY, f"app-{number}", None), f"app{number}"),
        Span(FIRST_DAY, FIRST_DAY + 1),
        Reason.NEW,
    )
    return Answered(window, [FIRST_DAY], [number], 200, 1, NOW, 5)


def record(store: LocalStore, answers: int, limits: RecorderLimits, points: PointBudget) -> Recorder:
    """Record the answers, land them, and return the recorder."""

    async def main() -> Recorder:
        lake = WorkspaceLake.of(store, make_workspace(), NOW)
        resources = RecorderResources(SystemClock(), partial(on_a_thread, None), asyncio.Semaphore(1), points, limits)
        recorder = Recorder(lake, LandingId("run", NOW, NOW), resources)
        async with asyncio.TaskGroup() as tasks:
            recorder.start(tasks)
            for number in range(answers):
                await recorder.record(answer(number))
            await recorder.close()
        return recorder

    return asyncio.run(main())


def test_answers_are_journaled_while_a_landing_is_at_work(tmp_path: Path) -> None:
    """A landing that takes its time does not keep later answers from the journal."""
    store = SlowStore(tmp_path)
    recorder = record(store, 3, RecorderLimits(flush_points=1, land_bytes=1), PointBudget())
    assert store.waited
    assert recorder.counts.landed.rows_added == 3


def test_points_of_all_workspaces_are_bounded_together(tmp_path: Path) -> None:
    """Where the buffers of the process are full, a buffer is written before it has reached its own limit."""
    points = PointBudget(limit=500)
    points.used = 500  # of other workspaces
    store = CountingStore(tmp_path, internal_folder("acme"))
    recorder = record(store, 2500, RecorderLimits(flush_points=10**6, flush_seconds=600), points)
    assert recorder.counts.landed.rows_added == 2500
    assert store.entries == 3
    assert points.used == 500, "what was written is given back"
