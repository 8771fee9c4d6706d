from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from collector import __version__
from collector.config.settings import App, Config
from collector.environment import Environment, RunOptions
from collector.fetch.stop import StopRequest
from collector.lake.lease import LeaseUnclear, WorkspaceLock
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

    import pyarrow as pa

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
    seconds = 0.0

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.seconds


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
        return await run(config, RunOptions("run", clock.now(), as_of_given=True), env, no_progress)

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


def write_lock(folder: Path, **changes: object) -> None:
    """Another host's lock, with changes."""
    file = folder / lock("acme")
    file.parent.mkdir(parents=True, exist_ok=True)
    process = {"pid": 1, "host": "elsewhere", "start_time": "1", "boot_id": "b", "pid_namespace": "n"}
    content = {
        "run_id": "theirs",
        "process": process,
        "started": iso(0),
        "until": iso(30),
        "as_of": None,
        "version": "1",
    }
    file.write_text(json.dumps({**content, **changes}))


def iso(seconds: float) -> str:
    return (AS_OF + timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize("until", [-1, -3599, 61, 10**9])
def test_a_lease_of_another_clock_is_taken_once_it_stays_unchanged(tmp_path: Path, until: float) -> None:
    """One that seems to have expired lately, or lasts longer than a lease can, is watched for a lease."""
    write_lock(tmp_path, until=iso(until))
    clock = SettableClock()
    mine = make_lock(tmp_path, "mine", clock)
    for _ in range(12):
        with pytest.raises(LeaseUnclear, match="by the clock of that machine") as unclear:
            mine.acquire()
        assert unclear.value.seconds == 5
        clock.seconds += unclear.value.seconds
    died = mine.acquire()
    assert died is not None
    assert died.run_id == "theirs"


@pytest.mark.parametrize("until", [-1, 10**9])
def test_a_lease_of_another_clock_that_is_renewed_is_held(tmp_path: Path, until: float) -> None:
    """A holder whose clock is behind or ahead renews its lease: the workspace is left to it, within a quarter."""
    write_lock(tmp_path, until=iso(until))
    clock = SettableClock()
    mine = make_lock(tmp_path, "mine", clock)
    with pytest.raises(LeaseUnclear):
        mine.acquire()
    write_lock(tmp_path, until=iso(until + 15))
    clock.seconds += 15
    with pytest.raises(LakeBusy, match="run theirs") as busy:
        mine.acquire()
    assert not isinstance(busy.value, LeaseUnclear)


def test_a_lease_that_expired_an_hour_ago_is_taken_at_once(tmp_path: Path) -> None:
    """No two clocks differ by more."""
    write_lock(tmp_path, until=iso(-3601))
    assert make_lock(tmp_path, "mine", SettableClock()).acquire() is not None


def test_a_run_waits_for_an_unclear_lease_on_no_thread(tmp_path: Path) -> None:
    """It waits for a minute of its clock, takes over and collects."""
    write_lock(tmp_path, until=(virtual.START - timedelta(seconds=5)).isoformat())
    store = FailingStore(tmp_path, (0.0, 0.0))
    summary = collect(store, windows=1, latency=1.0)
    assert (summary.exit_code, summary.windows_ok) == (0, 1)
    assert store.replaced[0] == 60


@pytest.mark.parametrize(("boot_id", "pid_namespace"), [("another", None), (None, "pid:[1]")])
def test_a_process_that_cannot_be_seen_counts_by_its_lease(
    tmp_path: Path, boot_id: str | None, pid_namespace: str | None
) -> None:
    """A container of this host's name with another pid namespace, or another machine of that name, is another host."""
    here = ProcessIdentity.current()
    gone = replace(here, pid=2**22 + 1, start_time="1")
    unseen = replace(gone, boot_id=boot_id or here.boot_id, pid_namespace=pid_namespace or here.pid_namespace)
    clock = SettableClock()
    write_lock(tmp_path, process=asdict(unseen))
    with pytest.raises(LakeBusy, match="run theirs"):
        make_lock(tmp_path, "mine", clock).acquire()
    write_lock(tmp_path, process=asdict(gone))
    assert make_lock(tmp_path, "mine", clock).acquire() is not None


JUNK: list[object] = [5, None, [], {}, "two\nlines", "2026-11-24T03:00:00", "0001-01-01T00:00:00+23:00"]
PIDS: list[object] = ["1", None, 1.5, True, []]
EDITS: list[object] = [
    *([], {}, "text", 5, 1.5, None, True, [[[]]]),
    *({name: value} for name in ("process", "until", "started") for value in JUNK),
    *({"run_id": value} for value in JUNK[:5]),
    *({"process": {"pid": pid, "host": "h", "start_time": "1"}} for pid in PIDS),
    {"process": {"pid": 1, "host": 5, "start_time": "1"}},
    *({"as_of": 5}, {"as_of": "soon"}, {"version": 5}, {"until": "soon"}, {"run_id": "x" * 10**6}),
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: repr(edit)[:60])
def test_a_lock_that_a_hand_has_changed_locks_nothing(tmp_path: Path, edit: object) -> None:
    """Whatever JSON it is, a file that is not a lock is replaced, like one that was cut short."""
    if isinstance(edit, dict) and edit:
        write_lock(tmp_path, **edit)
    else:
        write_lock(tmp_path)
        (tmp_path / lock("acme")).write_text(json.dumps(edit))
    assert make_lock(tmp_path, "mine", SettableClock()).acquire() is None


@pytest.mark.parametrize("pid", [0, -1, 2**63, 10**18])
def test_any_number_may_be_a_pid(tmp_path: Path, pid: int) -> None:
    """A pid of this host that cannot be is one that has ended."""
    write_lock(tmp_path, process=asdict(replace(ProcessIdentity.current(), pid=pid)))
    assert make_lock(tmp_path, "mine", SettableClock()).acquire() is not None


class RenumberingStore(FailingStore):
    """A file system that gives a file another inode number whenever it is looked at; `drift`: and another time."""

    drift = 0

    def _renumber(self, path: str) -> None:
        file = self.folder / path
        if file.is_file():
            shutil.copy2(file, copy := file.with_name("copy"))
            status = file.stat()
            os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns + self.drift))
            copy.replace(file)

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        self._renumber(path)
        return super().open(path)

    def publish(self, replacement: Replacement) -> Version:
        self._renumber(replacement.path)
        self._renumber(lock("acme"))
        return super().publish(replacement)


def test_a_file_system_that_renumbers_inodes_can_hold_a_lake(tmp_path: Path) -> None:
    """The run id in the lock file decides who holds it: a run renews its lock, lands many times, and releases it."""
    store = RenumberingStore(tmp_path, (0.0, 0.0))
    summary = collect(store, windows=30, latency=10.0, limits=RecorderLimits(flush_points=1, land_bytes=1))
    assert (summary.exit_code, summary.workspaces[0].problem) == (0, None)
    assert len(store.replaced) >= 15
    assert summary.workspaces[0].counts.landed.files_written > 10
    assert not (tmp_path / lock("acme")).exists()


def test_a_file_system_that_changes_times_is_named(tmp_path: Path) -> None:
    """Where the lock file never keeps its version, the run ends with exit 5, and the message names the file system."""
    store = RenumberingStore(tmp_path, (0.0, 0.0))
    store.drift = 1000
    summary = collect(store, windows=1, latency=1.0)
    assert summary.exit_code == 5
    assert "file system does not keep the time or the inode number" in str(summary.workspaces[0].problem)
