"""One workspace's part of a run: check, lock, recover, plan, fetch, journal, land, release.

In: a workspace of the config, the run's options, the environment. Out: a summary, whatever happened: a failure here is
this workspace's outcome, and ends no other workspace. A bug is such a failure, too.

Nothing here touches the store on the event loop: each step that does runs on a thread (`Environment.offload`).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from collector import __version__
from collector.api.client import ApiClient
from collector.fetch.fetcher import FetchResources, WorkspaceFetcher
from collector.lake import landing, metadata
from collector.lake.append_tables import RunRecord, record_died, record_run
from collector.lake.covered_spans import as_coverage
from collector.lake.journal import LandingId
from collector.lake.landing import WorkspaceLake
from collector.lake.lease import LEASE, RENEW_EVERY, FencedStore, LeaseUnclear, WorkspaceLock
from collector.lake.recorder import Recorder
from collector.lake.store import LakeBusy, LakeError, LakeRefused
from collector.model import Skipped
from collector.plan import plan
from collector.summary import WorkspaceSummary
from collector.windows import Windows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from collector.config.settings import Workspace
    from collector.coverage import Coverage
    from collector.environment import Environment, RunOptions
    from collector.fetch.progress import FetchProgress
    from collector.lake.lease import LockOwner

T = TypeVar("T", bound=Exception)
log = logging.getLogger(__name__)

RETRY_RENEWAL_SECONDS = 2.0


class WorkspaceRun:
    """`execute` runs it once; `summary` then says what came of it."""

    def __init__(self, workspace: Workspace, options: RunOptions, env: Environment) -> None:
        self.workspace, self._options, self._env = workspace, options, env
        store = env.store(workspace.name)
        self._lock = WorkspaceLock(store, workspace.name, env.clock, options.run_id, env.process, options.as_of)
        fenced = FencedStore(store, self._lock)
        self._started = env.clock.now()
        self._lake = WorkspaceLake.of(fenced, workspace, max(options.as_of, self._started))
        api = ApiClient(workspace, env.transport, env.clock)
        resources = FetchResources(env.throttle(workspace), env.connections, env.clock, env.rng, env.stop)
        self._fetcher = WorkspaceFetcher(workspace, api, resources, options.as_of, as_of_given=options.as_of_given)
        landing_id = LandingId(options.run_id, options.as_of, self._started)
        self._recorder = Recorder(self._lake, landing_id, env.recorder)
        self._planned = 0
        self._problem: LakeError | None = None
        self._bug: Exception | None = None
        self._left_behind: LockOwner | None = None

    @property
    def progress(self) -> FetchProgress:
        """How far the requests have come; may be read at any moment."""
        return self._fetcher.progress

    async def check(self) -> LakeRefused | None:
        """Why the lake must not be mixed with this config, if so. Any other failure is met again by `execute`."""
        with suppress(Exception):
            try:
                await self._env.offload(self._check_metadata)
            except LakeRefused as refusal:
                return refusal
        return None

    async def preview(self) -> Windows:
        """The windows that `execute` will plan, as the lake is now. Takes no lock; empty where that fails."""
        with suppress(Exception):
            return await self._env.offload(lambda: self._plan(self._current_coverage()))
        return Windows()

    async def execute(self, limit: int | None) -> None:
        """Run the workspace to its end, with at most `limit` windows requested (None: all). Raises nothing."""
        try:
            async with self._locked():
                await self._collect(await self._env.offload(self._recover_and_plan), limit)
        except* LakeError as group:
            self._problem = _first(group)
        except* Exception as group:
            self._note_bug(_first(group))
        finally:
            await self._env.offload(self._leave)

    def summary(self) -> WorkspaceSummary:
        """What came of it."""
        return WorkspaceSummary(self.workspace.name, self._planned, self._recorder.counts, self._problem, self._bug)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        """Take the lock, and renew it in the block. Where it is lost, the block is cancelled and LakeBusy raised."""
        self._left_behind = await self._acquire()
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._renew())
            yield
            renewing.cancel()

    def _leave(self) -> None:
        """Write the run's row, whatever came of it, and give the lock back."""
        if not self._lock.is_held:
            return
        try:
            record_run(self._lake.store, self.workspace.name, self._record())
        except LakeError as error:
            self._problem = self._problem or error
        except Exception as bug:  # a bug here must not end the other workspaces either
            self._note_bug(bug)
        finally:
            with suppress(Exception):  # a lock that cannot be released expires
                self._lock.release()

    def _note_bug(self, bug: Exception) -> None:
        if self._bug is None:
            self._bug = bug
            log.exception("workspace %s: internal error", self.workspace.name, exc_info=bug)

    def _record(self) -> RunRecord:
        summary, counts = self.summary(), self._recorder.counts
        return RunRecord(
            self._options.run_id,
            self._options.as_of,
            self._started,
            __version__,
            ended_at=self._env.clock.now(),
            exit_code=summary.exit_code(self._env.stop.exit_code),
            windows_planned=summary.planned,
            windows_ok=counts.ok,
            windows_failed=counts.failed,
            windows_skipped=counts.skipped,
            attempts=counts.attempts,
            rows_added=counts.landed.rows_added,
            rows_restated=counts.landed.rows_restated,
            rows_unchanged=counts.landed.rows_unchanged,
        )

    async def _acquire(self) -> LockOwner | None:
        """Take the lock. Where only time tells whether its owner still runs, wait for that, unless a stop comes.

        Returns the run that left the lock behind, if any.
        """
        while True:
            try:
                return await self._env.offload(self._lock.acquire)
            except LeaseUnclear as unclear:
                log.info("workspace %s: waiting to see whether its lock is renewed", self.workspace.name)
                await self._env.clock.sleep(unclear.seconds)
                if self._env.stop.requested:
                    raise

    async def _renew(self) -> None:
        """Renew the lock. A renewal that fails is tried again until only a quarter of the lease is left."""
        clock, wait = self._env.clock, RENEW_EVERY.total_seconds()
        renewed = clock.monotonic()
        while True:
            await clock.sleep(wait)
            begun = clock.monotonic()
            try:
                await self._env.renew(self._lock.renew)
            except LakeBusy:
                raise
            except LakeError as error:
                if clock.monotonic() - renewed > (LEASE - LEASE / 4).total_seconds():
                    raise
                log.warning("workspace %s: could not renew the lock, trying again: %s", self.workspace.name, error)
                wait = RETRY_RENEWAL_SECONDS
            else:
                renewed, wait = begun, RENEW_EVERY.total_seconds()

    def _recover_and_plan(self) -> Windows:
        """Land what a run that died left in its journal, and add its row; then plan by the coverage."""
        if not self._check_metadata():
            metadata.write_metadata(self._lake.store, self._lake.workspace, self._lake.zone)
        if self._left_behind is not None:
            record_died(self._lake.store, self._lake.workspace, self._left_behind)
        self._recorder.counts.landed += landing.recover(self._lake)
        coverage = self._current_coverage()
        log.debug("workspace %s: locked; %d series have coverage", self.workspace.name, len(coverage))
        return self._plan(coverage)

    def _check_metadata(self) -> bool:
        return metadata.check_metadata(self._lake.store, self._lake.workspace, self._lake.zone)

    def _current_coverage(self) -> Coverage:
        return as_coverage(landing.current_coverage(self._lake).spans)

    def _plan(self, coverage: Coverage) -> Windows:
        return plan(self.workspace, coverage, self._options.as_of, self._options.selection)

    async def _collect(self, windows: Windows, limit: int | None) -> None:
        """Request the windows, journal the answers as they come, and land the journal."""
        self._planned = len(windows)
        if not windows:
            return
        within, beyond = windows.split(self._planned if limit is None else limit)
        log.debug("workspace %s: requesting %d windows", self.workspace.name, len(within))
        async with asyncio.TaskGroup() as tasks:
            self._recorder.start(tasks)
            await self._fetcher.collect(within, self._recorder.record)
            for window in beyond:
                await self._recorder.record(Skipped(window, "beyond --max-requests"))
            await self._recorder.close()
        log.debug("workspace %s: %s", self.workspace.name, self._recorder.counts.landed)


def _first(group: BaseExceptionGroup[T]) -> T:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
