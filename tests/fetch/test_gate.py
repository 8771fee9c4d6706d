from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from asyncio_throttle import throttler

from collector.api.headers import SILENT
from collector.fetch import pacing
from collector.fetch.gate import Gate
from collector.fetch.pacing import ThrottlePacer
from collector.fetch.pool import Pool
from collector.fetch.progress import LaneProgress
from tests.fetch.virtual import VirtualClock, VirtualLoop, run

RATE = 500


class Interrupted(ThrottlePacer):
    """A pacer after which the event loop is held up now and then, before whoever was let through can send."""

    async def acquire(self) -> None:
        await super().acquire()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        if random.random() < 0.01:  # noqa: S311
            loop.call_soon(loop.hold_up, random.uniform(0, 0.05))  # noqa: S311


@pytest.mark.parametrize("seed", range(5))
def test_who_was_let_through_and_comes_late_breaks_no_second(seed: int) -> None:
    """What is held up between the gate and the wire is not sent on top of a second that is full; hardly any is lost."""
    random.seed(seed)
    sent: list[float] = []

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), VirtualClock()
        assert isinstance(loop, VirtualLoop)
        loop.hold_up(1000.0)
        watch = SimpleNamespace(monotonic=loop.time)
        with patch.object(pacing, "time", watch), patch.object(throttler, "time", watch):
            gate = Gate(Pool(10**9, 0, random.random), Interrupted(RATE), clock, LaneProgress("acme"))
            dispatching = asyncio.create_task(gate.dispatch())

            async def work() -> None:
                while clock.monotonic() < 1010:
                    turn = await gate.enter()
                    sent.append(clock.monotonic())
                    await asyncio.sleep(0.1)
                    gate.left(turn, SILENT)

            await asyncio.gather(*(work() for _ in range(200)))
            dispatching.cancel()
            await asyncio.wait([dispatching])

    run(main)
    assert max(bisect_left(sent, since + 1.0) - place for place, since in enumerate(sent)) <= RATE
    assert len(sent) > 0.9 * 10 * RATE
