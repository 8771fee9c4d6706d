"""One workspace's turn in a run: its lock, its part of the lake, its lane. What fails here fails this turn alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from collector.api.client import ApiClient
from collector.fetch.fetcher import WorkspaceFetcher
from collector.lake import landing, metadata
from collector.lake.coverage_table import as_coverage
from collector.lake.journal import LandingId
from collector.lake.landing import WorkspaceLake
from collector.lake.lease import RENEW_EVERY, FencedStore, WorkspaceLock
from collector.lake.recorder import Recorder
from collector.lake.store import LakeError
from collector.model import Skipped
from collector.plan import plan
from collector.summary import WorkspaceSummary
from collector.windows import Windows

if TYPE_CHECKING:
    from collector.config.settings import Workspace
    from collector.coverage import Coverage
    from collector.environment import Environment, RunOptions


log = logging.getLogger(__name__)


class WorkspaceRun:
    """`begin`, then `windows`, then `collect`; `end` whatever happened."""

    def __init__(self, workspace: Workspace, options: RunOptions, env: Environment) -> None:
        self.workspace, self._order, self._world = workspace, options, env
        self.problem: LakeError | None = None
        """Why the workspace could not be run, or not to its end."""
        store = env.store(workspace.name)
        self._lock = WorkspaceLock(store, workspace.name, env.clock, options.run_id, env.process)
        guarded = FencedStore(store, self._lock)
        self._ground = WorkspaceLake(guarded, workspace.name, workspace.timezone, workspace.refresh_after)
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._coverage: Coverage = {}
        self._planned = 0
        api = ApiClient(workspace, env.transport, env.clock)
        self.lane = WorkspaceFetcher(workspace, api, env.pacer(workspace), env.clock, env.rng, env.stop)
        origin = LandingId(options.run_id, options.as_of, f"{env.clock.now():%Y-%m-%d}")
        self._recorder = Recorder(self._ground, origin, env.clock, env.offload, env.bounds)

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
                log.debug("workspace %s: %s", self.workspace.name, self._recorder.counts.landed)
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
        return WorkspaceSummary(self.workspace.name, self._planned, self._recorder.counts, self.problem)

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
        lake = self._ground
        if not metadata.check_metadata(lake.store, lake.workspace, lake.zone.key):
            metadata.write_metadata(lake.store, lake.workspace, lake.zone.key)
        self._recorder.counts.landed += landing.recover(lake)
        return as_coverage(landing.current_coverage(lake).spans)


def _first(group: BaseExceptionGroup[LakeError]) -> LakeError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
