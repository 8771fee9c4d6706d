from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from signal import SIGKILL, SIGSTOP
from typing import TYPE_CHECKING

import pytest

from collector.clock import SystemClock
from collector.lake import paths
from collector.lake.local import LocalStore
from collector.simulator.options import Options
from tests.support.night import make_apps, make_segments
from tests.support.program import until
from tests.support.site import Site
from tests.support.suspending_store import collect

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Program

MEMBERS = {"apps": make_apps(2), "segments": make_segments(5)}


def make_site(folder: Path, *names: str, latency_ms: float = 30) -> Site:
    """Workspaces of 12 series by day and by hour, two windows of each."""
    workspaces = [{"name": name, **MEMBERS} for name in names or ("acme",)]
    return Site(folder, *workspaces, options=Options(latency_ms=(latency_ms, latency_ms)), start="2026-11-18")


def lock_of(site: Site, workspace: str = "acme") -> Path:
    return site.night.lake / "_collector" / workspace / "lock.json"


def suspend_while_locked(site: Site, program: Program) -> None:
    """Suspend the program during its run, while it holds its lock."""
    program.until(lambda: holder(site) == program.pid)
    before = site.answered()
    program.until(lambda: site.answered() >= before + 3)
    program.suspend()
    assert holder(site) == program.pid, "the run was faster than the test"


def holder(site: Site) -> object:
    """The pid in the lock file, or None."""
    try:
        return json.loads(lock_of(site).read_bytes())["process"]["pid"]
    except FileNotFoundError:
        return None


def expire_lease(lock: Path) -> None:
    """Expire the lease as an hour's sleep would: the file's size and time stay, so its holder takes it for its own."""
    before = lock.stat()
    held = json.loads(lock.read_bytes())
    text = lock.read_text().replace(held["until"], "2026-01-01T00:00:00.000000+00:00"[-len(held["until"]) :])
    assert len(text) == before.st_size
    with lock.open("r+") as file:
        file.write(text)
    os.utime(lock, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_locked_workspace_is_left_to_its_holder(tmp_path: Path) -> None:
    """A second run exits 4, names the first one's pid, host and start, and runs the other workspaces."""
    site = make_site(tmp_path, "acme", "other")
    with site.served():
        with site.run("--workspace", "acme") as first:
            suspend_while_locked(site, first)
            started = json.loads(lock_of(site).read_bytes())["started"]
            with site.run() as second:
                assert (second.wait(), second.report["exit_code"]) == (4, 4)
            for text in (f"pid {first.pid}", socket.gethostname(), started[:19]):
                assert text in second.stderr
            assert "Traceback" not in second.stderr
            assert site.night.rows() == site.truth("other")
            first.resume()
            assert first.wait() == 0
        assert site.night.rows() == site.truth()


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_holder_does_not_block_the_next_run(tmp_path: Path, reaped: bool) -> None:
    """After kill -9 the next run takes over at once and reports that, whether or not the parent reaped the process."""
    site = make_site(tmp_path)
    with site.served(), site.run() as dead:
        suspend_while_locked(site, dead)
        dead.send(SIGKILL)
        if reaped:
            dead.wait()
        with site.run() as program:
            assert program.wait() == 0
        assert f"(pid {dead.pid}) ended" in program.stderr
        assert site.night.rows() == site.truth()


def test_the_lease_of_another_host_blocks_until_it_expires(tmp_path: Path) -> None:
    """Whether a process of another host is running is unknown: its lock counts until its lease has expired."""
    site = make_site(tmp_path)
    lock = lock_of(site)
    lock.parent.mkdir(parents=True)

    def hold(until: datetime) -> None:
        process = {"pid": os.getpid(), "host": "elsewhere", "start_time": "1"}
        holder = {"run_id": "theirs", "process": process, "started": "2026-11-23T03:00:00+00:00"}
        lock.write_text(json.dumps({**holder, "until": until.isoformat()}))

    with site.served():
        hold(datetime.now(UTC) + timedelta(seconds=30))
        with site.run() as blocked:
            assert blocked.wait() == 4
        assert f"pid {os.getpid()} on elsewhere, started 2026-11-23T03:00:00Z" in blocked.stderr
        assert site.answered() == 0
        hold(datetime.now(UTC) - timedelta(hours=2))
        with site.run() as program:
            assert program.wait() == 0
        assert site.night.rows() == site.truth()


def test_a_damaged_lock_does_not_block(tmp_path: Path) -> None:
    """A lock file that is empty or truncated, as a power failure may leave it, is replaced."""
    site = make_site(tmp_path)
    lock_of(site).parent.mkdir(parents=True)
    lock_of(site).write_text('{"run_id": "x", "proc')
    with site.served(), site.run() as program:
        assert program.wait() == 0


def test_of_runs_that_start_together_one_has_the_lock(tmp_path: Path) -> None:
    """Of five runs started at once each exits 0 or 4, and together they request each window once."""
    site = make_site(tmp_path, latency_ms=60)
    with site.served():
        with ExitStack() as stack:
            programs = [stack.enter_context(site.run()) for _ in range(5)]
            codes = sorted(program.wait() for program in programs)
        assert set(codes) <= {0, 4}, [program.stderr for program in programs]
        assert codes[0] == 0
        assert sum(program.report["windows_ok"] for program in programs) == site.answered()
        assert site.night.rows() == site.truth()
        with site.run() as program:
            assert (program.wait(), program.report["requests"]) == (0, 0)


def test_a_holder_suspended_beyond_its_lease_publishes_nothing(tmp_path: Path) -> None:
    """It resumes with old answers after another run has landed newer ones: exit 4, and no byte of the lake changes."""
    site = make_site(tmp_path)
    with site.served():
        with site.run() as program:
            assert program.wait() == 0
        site.simulation.now += timedelta(days=1)
        with site.run() as suspended:
            suspend_while_locked(site, suspended)
            expire_lease(lock_of(site))
            site.simulation.now += timedelta(days=1)
            with site.run() as program:
                assert program.wait() == 0
            assert program.report["rows_restated"] > 0
            landed = site.night.bytes()
            assert site.night.rows() == site.truth()
            suspended.resume()
            assert suspended.wait() == 4
        assert "another run has taken" in suspended.stderr
        assert site.night.bytes() == landed
        with site.run() as program:
            assert (program.wait(), program.report["requests"]) == (0, 0)


def test_a_holder_whose_lock_was_taken_over_stops(tmp_path: Path) -> None:
    """It resumes while the other run is still at work: exit 4, it names that run, and does not disturb it."""
    site = make_site(tmp_path)
    with site.served(), site.run() as suspended:
        suspend_while_locked(site, suspended)
        expire_lease(lock_of(site))
        with site.run() as other:
            suspend_while_locked(site, other)
            suspended.resume()
            assert suspended.wait() == 4
            other.resume()
            assert other.wait() == 0
        assert f"pid {other.pid}" in suspended.stderr
        assert site.night.rows() == site.truth()
        until(lambda: not lock_of(site).exists())


HOLD = """
import fcntl, sys, time
mutex = open(sys.argv[1], "ab")
fcntl.flock(mutex, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


def test_a_process_suspended_while_it_publishes_is_named(tmp_path: Path) -> None:
    """It is suspended with the mutex held: exit 4 names its pid, the other workspaces run; ended, it blocks no more."""
    site = make_site(tmp_path, "acme", "other")
    mutex = site.night.lake / "_collector/acme/mutex"
    mutex.parent.mkdir(parents=True)

    def impatient(workspace: str) -> LocalStore:
        return LocalStore(site.night.lake, paths.internal_folder(workspace), mutex_timeout_seconds=0.5)

    with site.served(), subprocess.Popen([sys.executable, "-c", HOLD, mutex], stdout=subprocess.PIPE) as stopped:
        assert stopped.stdout
        assert stopped.stdout.readline() == b"held\n"
        stopped.send_signal(SIGSTOP)
        try:
            summary = collect(site.night.settings(), site.simulation.now, "waiting", SystemClock(), impatient)
        finally:
            stopped.kill()
        stopped.wait()
        assert summary.exit_code == 4
        problem = summary.workspaces[0].problem
        assert f"{mutex} has been locked for 0.5 s by pid {stopped.pid}" in str(problem)
        assert site.night.rows() == site.truth("other")
        with site.run() as program:
            assert program.wait() == 0
        assert site.night.rows() == site.truth()
