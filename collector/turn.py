"""One workspace's turn in a run: its lock, its part of the lake, its lane. What fails here fails this turn alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from collector.api.client import Api
from collector.fetch.lane import Lane
from collector.lake import memory, recovery
from collector.lake.errors import LakeError
from collector.lake.guarded import Guarded
from collector.lake.journal import Origin
from collector.lake.landing import Ground
from collector.lake.lock import RENEW_EVERY, Lock
from collector.lake.recorder import Recorder
from collector.lake.runs import as_coverage
from collector.outcome import Skipped
from collector.plan import plan
from collector.summary import WorkspaceSummary
from collector.windows import Windows

if TYPE_CHECKING:
    from collector.config.settings import Workspace
    from collector.coverage import Coverage
    from collector.order import Order
    from collector.world import World

log = logging.getLogger(__name__)


class Turn:
    """`begin`, then `windows`, then `collect`; `end` whatever happened."""

    def __init__(self, workspace: Workspace, order: Order, world: World) -> None:
        self.workspace, self._order, self._world = workspace, order, world
        self.problem: LakeError | None = None
        """Why the workspace could not be run, or not to its end."""
        store = world.store(workspace.name)
        self._lock = Lock(store, workspace.name, world.clock, order.run_id, world.process)
        guarded = Guarded(store, self._lock)
        self._ground = Ground(guarded, workspace.name, workspace.timezone, workspace.refresh_after)
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._coverage: Coverage = {}
        self._planned = 0
        api = Api(workspace, world.transport, world.clock)
        self.lane = Lane(workspace, api, world.pacer(workspace), world.clock, world.rng, world.stop)
        origin = Origin(order.run_id, order.as_of, f"{world.clock.now():%Y-%m-%d}")
        self._recorder = Recorder(self._ground, origin, world.clock, world.offload, world.bounds)

    async def begin(self, keepers: asyncio.TaskGroup) -> None:
        """Take the lock and keep it, land what a run that died has left, and read the coverage."""
        try:
            await self._world.offload(self._lock.acquire)
            self._keeper = keepers.create_task(self._keep())
            self._coverage = await self._world.offload(self._open)
            log.debug("workspace %s: locked; %d series have coverage", self.workspace.name, len(self._coverage))
        except LakeError as problem:
            self.problem = problem

    def windows(self) -> Windows:
        """What the turn asks for: nothing where it could not begin."""
        if self.problem:
            return Windows()
        return plan(self.workspace, self._coverage, self._order.as_of, self._order.narrowing)

    async def collect(self, windows: Windows, beyond: Windows) -> None:
        """Ask for the windows and land the answers; `beyond` is what the run's bound leaves for the next one."""
        self._planned = len(windows) + len(beyond)
        if self.problem or not self._planned:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                beside = [tasks.create_task(self._recorder.flush_often()), tasks.create_task(self._unless_lost())]
                log.debug("workspace %s: asking for %d windows", self.workspace.name, len(windows))
                await self.lane.collect(windows, self._recorder.record)
                for window in beyond:
                    await self._recorder.record(Skipped(window, "beyond --max-requests"))
                await self._recorder.close()
                log.debug("workspace %s: %s", self.workspace.name, self._recorder.tally.landed)
                for task in beside:
                    task.cancel()
        except* LakeError as group:
            self.problem = _first(group)
        finally:
            await self.end()

    async def end(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        with contextlib.suppress(LakeError):  # a lease that cannot be given back runs out
            await self._world.offload(self._lock.release)

    def summary(self) -> WorkspaceSummary:
        """What came of it."""
        return WorkspaceSummary(self.workspace.name, self._planned, self._recorder.tally, self.problem)

    async def _keep(self) -> None:
        """Renew the lease; a turn that has lost it stops before it writes anything more."""
        try:
            while True:
                await self._world.clock.sleep(RENEW_EVERY.total_seconds())
                await self._world.offload(self._lock.renew)
        except LakeError as problem:
            self.problem = problem
            self._lost.set()

    async def _unless_lost(self) -> None:
        await self._lost.wait()
        raise self.problem or LakeError(f"workspace {self.workspace.name}: its lock is lost")

    def _open(self) -> Coverage:
        ground = self._ground
        if not memory.check(ground.store, ground.workspace, ground.zone.key):
            memory.remember(ground.store, ground.workspace, ground.zone.key)
        self._recorder.tally.landed += recovery.recover(ground)
        return as_coverage(recovery.known(ground).runs)


def _first(group: BaseExceptionGroup[LakeError]) -> LakeError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
