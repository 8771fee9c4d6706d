from __future__ import annotations

import asyncio

import pytest

from collector.api.cancellation import Timeouts
from tests.support.virtual import run


def test_what_takes_too_long_ends_with_a_timeout() -> None:
    """Soon after the limit, and what ends in time is left alone; many limits have one timer."""

    async def work(deadlines: Timeouts, seconds: float) -> str:
        try:
            with deadlines.limit(5):
                await asyncio.sleep(seconds)
        except TimeoutError:
            return f"late at {asyncio.get_running_loop().time():.0f}"
        return "done"

    async def main() -> list[str]:
        deadlines = Timeouts()
        results = await asyncio.gather(*(work(deadlines, seconds) for seconds in (1, 4.8, 60, 600)))
        assert not deadlines.running
        return results

    assert run(main) == ["done", "done", "late at 5", "late at 5"]


def test_a_cancellation_from_outside_stays_one() -> None:
    """Before the limit, and at the very instant of it: whoever cancels the task sees it cancelled."""

    async def work(deadlines: Timeouts) -> None:
        with deadlines.limit(5):
            await asyncio.sleep(60)

    async def main() -> None:
        for at_once in (False, True):
            deadlines = Timeouts()
            task = asyncio.create_task(work(deadlines))
            await asyncio.sleep(1)
            for scope in deadlines.running if at_once else ():
                scope.cancel()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main)


def test_a_scope_around_it_is_told_apart() -> None:
    """An outer timeout ends the outer block, an inner limit the inner one."""

    async def main() -> list[str]:
        results, deadlines = [], Timeouts()
        try:
            async with asyncio.timeout(3):
                try:
                    with deadlines.limit(1):
                        await asyncio.sleep(60)
                except TimeoutError:
                    results.append("inner")
                with deadlines.limit(60):
                    await asyncio.sleep(60)
        except TimeoutError:
            results.append("outer")
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0
        return results

    assert run(main) == ["inner", "outer"]


def test_an_error_in_the_block_is_its_own() -> None:
    """What is raised in the block comes out as it is, and the limit is forgotten."""

    async def main() -> None:
        deadlines = Timeouts()
        with pytest.raises(KeyError), deadlines.limit(1):
            raise KeyError("mine")
        await asyncio.sleep(5)

    run(main)
