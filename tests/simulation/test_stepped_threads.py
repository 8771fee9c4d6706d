"""The simulation's threads: where they stop, and who goes on."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from collector.commands import on_a_thread
from tests.simulation.memory_store import Disk, MemoryStore
from tests.simulation.reading import Violation
from tests.simulation.simulated_process import SimulatedProcess
from tests.simulation.stepped_threads import SteppedLock, SteppedThreads, stop_here
from tests.support.virtual import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable


def test_threads_meet_at_every_stop() -> None:
    """Two threads that take 1 and 1.4 seconds a step go on in the order of their time, each to its end."""
    seen: list[str] = []

    def walk(name: str) -> str:
        for step in range(3):
            stop_here()
            seen.append(f"{name}{step}")
        return name

    assert _at_once([1.0, 1.4], walk) == ["a", "b"]
    assert seen == ["a0", "b0", "a1", "a2", "b1", "b2"]


def test_a_thread_that_waits_for_a_mutex_gives_its_turn_away() -> None:
    """The one that holds it goes on and gives it back, and then the other one has it."""
    mutex, seen = SteppedLock(), list[str]()

    def hold(name: str) -> str:
        with mutex:
            seen.append(f"{name} in")
            stop_here()
            seen.append(f"{name} out")
        return name

    _at_once([1.0, 1.1], hold)
    assert seen == ["a in", "a out", "b in", "b out"]


def test_the_event_loop_must_not_use_the_store() -> None:
    """Store work on the event loop's thread would hold up every request."""
    store = MemoryStore(Disk(published=lambda path, content: None), SimulatedProcess(), "acme")  # noqa: ARG005
    with pytest.raises(Violation, match="event loop"):
        store.list("coverage")


def _at_once(seconds: list[float], work: Callable[[str], str]) -> list[str]:
    """Run the work on two threads, `a` and `b`, whose steps take these seconds."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        threads = [SteppedThreads(loop, partial(float, wait)) for wait in seconds]
        jobs = (on_a_thread(each, partial(work, name)) for each, name in zip(threads, "ab", strict=True))
        results = await asyncio.gather(*jobs)
        for each in threads:
            each.finish()
        return results

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
