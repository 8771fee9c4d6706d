"""One run of the collector in virtual time, from its first effect to its end or death."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, TypeVar

from collector.environment import Environment
from collector.fetch.stop import StopRequest
from collector.lake.process import ProcessIdentity
from collector.lake.recorder import RecorderLimits
from collector.run import run
from tests.simulation.memory_store import Disk, MemoryStore
from tests.simulation.simulated_braze import GOOD_NETWORK, Network, SimulatedBraze
from tests.simulation.simulated_process import Killed, SimulatedProcess
from tests.support.virtual import FixedThrottle, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from collector.clock import Clock
    from collector.config.settings import Config
    from collector.environment import RunOptions
    from collector.fetch.fetcher import FetchProgress
    from collector.summary import Summary

T = TypeVar("T")
_NO_PROCESS = 1 << 23
"""Beyond the highest number that a kernel gives."""


class SimulatedClock:
    """The one clock of a month: the instant at which the present run began, and the virtual seconds since."""

    def __init__(self, start: datetime) -> None:
        self.start = start

    def now(self) -> datetime:
        """The instant."""
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Virtual seconds; 0 between runs."""
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return 0.0

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Interruption:
    """A deadline or a signal (`exit_code`) after so many seconds; `twice`: a second signal comes a moment later."""

    seconds: float
    exit_code: int | None = None
    twice: bool = False


@dataclass(frozen=True, slots=True)
class OneRun:
    """A run to be made. `host`: the machine, "" for this one, where a dead process is known to be dead."""

    config: Config
    options: RunOptions
    at: datetime
    process: SimulatedProcess = field(default_factory=SimulatedProcess)
    network: Network = GOOD_NETWORK
    bounds: RecorderLimits = field(default_factory=RecorderLimits)
    host: str = ""
    interruption: Interruption | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of it: a summary, or None where the process died or was told twice to stop; `seconds` it took."""

    one_run: OneRun
    summary: Summary | None
    braze: SimulatedBraze
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether it died."""
        return self.one_run.process.dead


def perform(one_run: OneRun, disk: Disk, braze: SimulatedBraze, clock: SimulatedClock) -> RunResult:
    """Run to the end. Raises whatever the collector raises that is no death."""
    clock.start = one_run.at
    rng = Random(one_run.options.run_id)  # noqa: S311 - chance, no secrets
    loop = VirtualLoop()
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            summary = runner.run(_main(one_run, disk, braze, clock, rng))
    except BaseException as error:
        if not one_run.process.dead or not _only(error, Killed, asyncio.CancelledError):
            raise
        summary = None
    return RunResult(one_run, summary, braze, loop.time())


async def _main(
    one_run: OneRun, disk: Disk, braze: SimulatedBraze, clock: SimulatedClock, rng: Random
) -> Summary | None:
    stop = StopRequest(grace_seconds=rng.choice((0.1, 5.0)))
    who = ProcessIdentity(_NO_PROCESS, one_run.host or ProcessIdentity.current().host, "")
    env = Environment(
        clock=clock,
        store=lambda workspace: MemoryStore(disk, one_run.process, workspace),
        transport=braze,
        throttle=lambda workspace: FixedThrottle(workspace.rate_limit.per_second),
        rng=rng,
        offload=_inline,
        stop=stop,
        process=ProcessIdentity(who.pid, who.host, "long ago"),
        recorder_limits=one_run.bounds,
    )
    _interrupt(one_run.interruption, stop)
    try:
        return await run(one_run.config, one_run.options, env, _nobody_watches)
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


async def _inline(work: Callable[[], T]) -> T:
    """As a thread would, it lets others run first, and is not cancelled; nothing else happens while it works."""
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        work()
        raise
    return work()


@asynccontextmanager
async def _nobody_watches(progress: Sequence[FetchProgress], clock: Clock) -> AsyncIterator[None]:
    yield


def _only(error: BaseException, *kinds: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_only(inner, *kinds) for inner in error.exceptions)
    return isinstance(error, kinds)
