from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from collector import __version__
from collector.config.settings import App, Config
from collector.environment import Environment, RunOptions
from collector.fetch.stop import StopRequest
from collector.lake.lease import WorkspaceLock
from collector.lake.local import LocalStore
from collector.lake.paths import internal_folder, lock
from collector.lake.process import ProcessIdentity
from collector.lake.recorder import PointBudget, RecorderLimits, RecorderResources
from collector.lake.store import LakeBusy, LakeError
from collector.model import Scope, Unit
from collector.run import run
from collector.testing import FakeTransport
from tests.support import virtual
from tests.support.suspending_store import no_progress
from tests.support.virtual import FreeThrottle, VirtualBraze, VirtualClock, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.lake.store import Replacement, Version
    from collector.summary import Summary

T = TypeVar("T")

AS_OF = datetime(2026, 11, 24, 3, tzinfo=UTC)


@dataclass
class FailingStore(LocalStore):
    """A folder in which the lock cannot be replaced between two instants of the loop's time."""

    folder: Path
    fails: tuple[float, float]
    replaced: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.folder, internal_folder("acme"))

    def publish(self, replacement: Replacement) -> Version:
        now = asyncio.get_running_loop().time()
        if replacement.path == lock("acme"):
            if self.fails[0] <= now < self.fails[1]:
                raise LakeError("the store does not answer")
            self.replaced.append(now)
        return super().publish(replacement)


class SettableClock(VirtualClock):
    """A clock that shows `instant`."""

    instant = AS_OF

    def now(self) -> datetime:
        return self.instant


def collect(store: LocalStore, windows: int, latency: float, limits: RecorderLimits | None = None) -> Summary:
    """A run in virtual time in which one request after another takes `latency` seconds."""

    async def inline(work: Callable[[], T]) -> T:
        return work()

    async def main() -> Summary:
        clock = VirtualClock()
        settings: dict[str, Any] = {
            "apps": tuple(App(f"app{number}", f"app-{number}") for number in range(windows)),
            "scopes": (Scope.APP,),
            "units": (Unit.HOUR,),
            "lookback": {Unit.DAY: 1, Unit.HOUR: 10},
            "concurrency": 1,
            "timeout_seconds": 600.0,
        }
        env = Environment(
            clock=clock,
            store=lambda _: store,
            transport=FakeTransport(VirtualBraze(latency=latency)),
            throttle=lambda _: FreeThrottle(),
            rng=random.Random(1),  # noqa: S311
            offload=inline,
            renew=inline,
            connections=asyncio.Semaphore(10),
            stop=StopRequest(),
            process=ProcessIdentity.current(),
            recorder=RecorderResources(clock, inline, asyncio.Semaphore(1), PointBudget(), limits or RecorderLimits()),
        )
        config = Config("", (make_workspace(**settings),))
        return await run(config, RunOptions("run", clock.now()), env, no_progress)

    return virtual.run(main)


def make_lock(folder: Path, run_id: str, clock: VirtualClock, host: str = "elsewhere") -> WorkspaceLock:
    store = LocalStore(folder, internal_folder("acme"))
    return WorkspaceLock(store, "acme", clock, run_id, ProcessIdentity(1, host, "1"), AS_OF)


def test_a_lock_left_behind_says_which_run_died(tmp_path: Path) -> None:
    """Whoever takes over learns run id, as_of, start and version of the run that died; a released lock says nothing."""
    clock = SettableClock()
    assert make_lock(tmp_path, "first", clock).acquire() is None
    begun = clock.instant
    clock.instant += timedelta(hours=2)
    second = make_lock(tmp_path, "second", clock)
    died = second.acquire()
    assert died is not None
    assert (died.run_id, died.as_of, died.started, died.version) == ("first", AS_OF, begun, __version__)
    second.release()
    assert make_lock(tmp_path, "third", clock).acquire() is None


def test_a_lock_of_an_older_version_is_read(tmp_path: Path) -> None:
    """A lock file without as_of and version has neither, and locks like any other."""
    clock = SettableClock()
    make_lock(tmp_path, "first", clock).acquire()
    file = tmp_path / lock("acme")
    content = json.loads(file.read_bytes())
    file.write_text(json.dumps({name: content[name] for name in ("run_id", "process", "started", "until")}))
    with pytest.raises(LakeBusy, match="first"):
        make_lock(tmp_path, "second", clock).acquire()
    clock.instant += timedelta(hours=2)
    died = make_lock(tmp_path, "second", clock).acquire()
    assert died is not None
    assert (died.run_id, died.as_of, died.version) == ("first", None, None)


def test_a_lock_is_renewed_while_requests_take_their_time(tmp_path: Path) -> None:
    """A run of five minutes renews its lock every quarter of a lease."""
    store = FailingStore(tmp_path, (0.0, 0.0))
    assert collect(store, windows=30, latency=10.0).exit_code == 0
    gaps = [after - before for before, after in zip(store.replaced, store.replaced[1:], strict=False)]
    assert len(gaps) >= 15
    assert max(gaps) < 20


def test_a_renewal_that_fails_is_tried_again(tmp_path: Path) -> None:
    """A store that fails for half a minute, less than what is left of the lease, costs a run nothing."""
    store = FailingStore(tmp_path, (70.0, 100.0))
    summary = collect(store, windows=30, latency=10.0)
    assert (summary.exit_code, summary.windows_ok) == (0, 30)


def test_a_lock_that_cannot_be_renewed_ends_the_run_before_its_lease_does(tmp_path: Path) -> None:
    """With a quarter of the lease left the run stops, with the store's error."""
    store = FailingStore(tmp_path, (70.0, 10_000.0))
    summary = collect(store, windows=100, latency=10.0)
    assert summary.exit_code == 5
    assert "does not answer" in str(summary.workspaces[0].problem)
    assert not isinstance(summary.workspaces[0].problem, LakeBusy)
