"""One run of the collector in virtual time, until it ends or crashes."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from collector.commands import on_a_thread
from collector.environment import Environment
from collector.fetch.stop import StopRequest
from collector.lake.process import ProcessIdentity
from collector.lake.recorder import PointBudget, RecorderLimits, RecorderResources
from collector.run import run
from tests.simulation.memory_store import Disk, MemoryStore
from tests.simulation.simulated_braze import GOOD_NETWORK, Network, SimulatedBraze
from tests.simulation.simulated_process import Killed, SimulatedProcess
from tests.simulation.stepped_threads import SteppedThreads, stepped_locks
from tests.support.suspending_store import no_progress
from tests.support.virtual import FixedThrottle, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.config.settings import Config
    from collector.environment import RunOptions
    from collector.summary import Summary

_NO_PROCESS = 1 << 23
"""Above the highest process id of a kernel."""


class SimulatedClock:
    """The one clock of a month: the instant at which the present run began, and the virtual seconds since.

    Any thread may read it.
    """

    def __init__(self, start: datetime) -> None:
        self.start = start
        self._loop: VirtualLoop | None = None

    def now(self) -> datetime:
        """The instant."""
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Virtual seconds; 0 between runs."""
        return self._loop.time() if self._loop else 0.0

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    @contextmanager
    def following(self, loop: VirtualLoop) -> Iterator[None]:
        """Follow a run's loop; a run that takes place while another one is suspended has its own."""
        before, self._loop = self._loop, loop
        try:
            yield
        finally:
            self._loop = before


@dataclass(frozen=True, slots=True)
class Interruption:
    """A deadline or a signal (`exit_code`) after some seconds; `twice`: a second signal follows."""

    seconds: float
    exit_code: int | None = None
    twice: bool = False


@dataclass(frozen=True, slots=True)
class OneRun:
    """A run and its circumstances.

    `host`: its machine; "" is this one, whose ended processes are known. `store_seconds`: how long an operation of the
    store takes at most. `connections`: those of the process.
    """

    config: Config
    options: RunOptions
    at: datetime
    process: SimulatedProcess = field(default_factory=SimulatedProcess)
    network: Network = GOOD_NETWORK
    limits: RecorderLimits = field(default_factory=RecorderLimits)
    host: str = ""
    interruption: Interruption | None = None
    store_seconds: float = 0.001
    connections: int = 1000


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run's summary, or None if the process crashed or was stopped by two signals; `seconds` it took.

    `threads`: the store's threads that were at work at once, at most.
    """

    one_run: OneRun
    summary: Summary | None
    braze: SimulatedBraze
    seconds: float
    threads: int

    @property
    def killed(self) -> bool:
        """Whether it crashed."""
        return self.one_run.process.dead


def perform(one_run: OneRun, disk: Disk, braze: SimulatedBraze, clock: SimulatedClock) -> RunResult:
    """Run until it ends or crashes. Raises what the collector raises, unless that is the crash."""
    clock.start = one_run.at
    loop, rng = VirtualLoop(), Random(one_run.options.run_id)  # noqa: S311 - chance, no secrets
    threads = SteppedThreads(loop, lambda: rng.random() * one_run.store_seconds)
    try:
        with clock.following(loop), stepped_locks(), asyncio.Runner(loop_factory=lambda: loop) as runner:
            summary = runner.run(_main(one_run, disk, braze, clock, threads))
    except BaseException as error:
        if not one_run.process.dead or not _only(error, Killed, asyncio.CancelledError):
            raise
        summary = None
    finally:
        threads.finish()
    return RunResult(one_run, summary, braze, loop.time(), threads.most_at_once)


async def _main(
    one_run: OneRun, disk: Disk, braze: SimulatedBraze, clock: SimulatedClock, threads: SteppedThreads
) -> Summary | None:
    rng = Random(f"{one_run.options.run_id} fetches")  # noqa: S311 - chance, no secrets
    offload = partial(on_a_thread, threads)
    here = ProcessIdentity.current()
    stop = StopRequest(grace_seconds=rng.choice((0.1, 5.0)))
    env = Environment(
        clock=clock,
        store=lambda workspace: MemoryStore(disk, one_run.process, workspace),
        transport=braze,
        throttle=lambda workspace: FixedThrottle(workspace.rate_limit.per_second),
        rng=rng,
        offload=offload,
        renew=offload,
        connections=asyncio.Semaphore(one_run.connections),
        stop=stop,
        process=replace(here, pid=_NO_PROCESS, host=one_run.host or here.host, start_time="long ago"),
        recorder=RecorderResources(
            clock, offload, asyncio.Semaphore(2), PointBudget(rng.choice((500, 10**9))), one_run.limits
        ),
    )
    _interrupt(one_run.interruption, stop)
    try:
        return await run(one_run.config, one_run.options, env, no_progress)
    except asyncio.CancelledError:
        if one_run.process.dead or not (one_run.interruption and one_run.interruption.twice):
            raise
        return None


def _interrupt(interruption: Interruption | None, stop: StopRequest) -> None:
    if interruption is None:
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    code = interruption.exit_code
    loop.call_later(interruption.seconds, stop.request, f"interrupted {code or 'by the deadline'}", code)
    if interruption.twice and task is not None:
        loop.call_later(interruption.seconds + 0.05, task.cancel)


def _only(error: BaseException, *kinds: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_only(inner, *kinds) for inner in error.exceptions)
    return isinstance(error, kinds)
