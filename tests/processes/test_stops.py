from __future__ import annotations

import fcntl
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import TYPE_CHECKING, BinaryIO

import pytest

from collector.simulator.options import Fault, Faults, Options, PoolOptions
from tests.processes.broken_servers import broken_server
from tests.support.night import make_apps, make_segments
from tests.support.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.program import Program

SIGNALS = ((SIGTERM, 143), (SIGINT, 130))
WINDOWS = 88


def make_site(folder: Path, options: Options | None = None, concurrency: int = 4) -> Site:
    """A workspace of 44 series by day and by hour, one window each."""
    members = {"apps": make_apps(4), "segments": make_segments(10)}
    spans = {"start": "2026-11-20", "concurrency": concurrency}
    return Site(folder, {"name": "acme", **members}, options=options, **spans)


def check_converges(site: Site, requests: int) -> None:
    """The next run requests that many windows, finds no lock, and makes the lake equal the truth."""
    site.simulation.faults = Faults()
    with site.run() as program:
        assert (program.wait(), program.report["requests"]) == (0, requests)
    assert "pid" not in program.stderr, "it took over a lock"
    assert site.night.rows() == site.truth()


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_ends_a_run_with_every_answer_landed(tmp_path: Path, number: Signals, code: int) -> None:
    """A first signal lands every answer, prints the summary, exits 143 or 130; the next run requests the rest alone."""
    site = make_site(tmp_path, Options(latency_ms=(40, 60)))
    with site.served():
        with site.run() as program:
            program.until(lambda: site.answered() >= 20)
            program.send(number)
            assert program.wait() == code
        report = program.report
        assert (report["exit_code"], report["windows_failed"]) == (code, 0)
        assert report["windows_ok"] == site.answered()
        assert report["windows_ok"] + report["windows_skipped"] == WINDOWS
        assert report["rows_added"] == len(site.night.rows())
        assert site.night.rows() < site.truth()
        assert f"interrupted by {number.name}" in program.stderr
        check_converges(site, WINDOWS - report["windows_ok"])


def test_requests_in_flight_get_a_grace_period(tmp_path: Path) -> None:
    """Answers within the grace period are landed; the other requests are given up, and the run ends."""
    members = {"apps": make_apps(4), "segments": make_segments(10)}
    with broken_server(None) as (silent, connections):
        workspaces = ({"name": "acme", **members}, {"name": "late", "endpoint": silent, **members})
        site = Site(tmp_path, *workspaces, start="2026-11-20", concurrency=8, timeout_seconds=600)
        site.simulation.faults = Faults({Fault.SLOW: 1.0}, slow_seconds=1.0)
        with site.served():
            with site.run() as program:
                program.until(lambda: site.simulation.request_log.in_flight >= 8 and connections)
                program.send(SIGTERM)
                assert program.wait() == 143
            report = program.report
            assert report["windows_ok"] == site.simulation.request_log.requests >= 8
            assert report["windows_failed"] == len(connections)
            assert {failure["workspace"] for failure in report["failures"]} == {"late"}
            assert {failure["error"] for failure in report["failures"]} == {"interrupted: interrupted by SIGTERM"}
            assert site.night.rows() < site.truth("acme")
            site.night.document["workspaces"].pop()
            site.night.write()
            check_converges(site, WINDOWS - report["windows_ok"])


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """A second signal drops what is in flight: no traceback, no lock is left, and the next run converges."""
    site = make_site(tmp_path, concurrency=8)
    with site.served():
        with site.run("--app", "app1") as program:
            assert program.wait() == 0
        site.simulation.faults = Faults({Fault.SLOW: 1.0}, slow_seconds=600)
        with site.run() as program:
            program.until(lambda: site.simulation.request_log.in_flight)
            program.send(SIGINT)
            program.until_it_says("SIGINT")
            program.send(SIGINT)
            assert program.wait() == 130
        assert "SIGINT again" in program.stderr
        assert "Traceback" not in program.stderr
        assert program.stdout == ""
        assert not list(site.night.lake.rglob("lock.json"))
        check_converges(site, WINDOWS - 22)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_it_starts(tmp_path: Path, number: Signals, code: int) -> None:
    """Before its run has started, the program ends without a traceback and without writing anything."""
    site = make_site(tmp_path)
    with site.run() as program:
        program.until(lambda: "libarrow" in Path(f"/proc/{program.pid}/maps").read_text())
        program.send(number)
        assert program.wait() == code
    assert (program.stdout, program.stderr) == ("", "")
    assert not site.night.lake.exists()


def test_a_signal_while_the_quota_is_used_up(tmp_path: Path) -> None:
    """A workspace that waits for the next hour does not keep the run from ending."""
    site = make_site(tmp_path, Options(pool=PoolOptions(limit=30)))
    with site.served():
        with site.run() as program:
            program.until_it_says("paused until")
            program.send(SIGTERM)
            assert program.wait() == 143
        assert program.report["windows_ok"] == site.answered() == 24
        site.simulation.workspace("acme").quota.refill()
        with site.run("--max-requests", "1") as program:
            assert (program.wait(), program.report["requests"]) == (3, 1)


@pytest.mark.parametrize("signals", [1, 3])
def test_signals_while_it_lands(tmp_path: Path, signals: int) -> None:
    """A landing is finished whatever number of signals comes, then the lock is released; the first two are logged."""
    site = make_site(tmp_path)
    with site.served():
        with delayed_landing(site) as program:
            for count in range(1, signals + 1):
                program.send(SIGTERM)
                program.until(lambda: program.stderr.count("SIGTERM") >= min(count, 2))  # noqa: B023  # called at once
            assert program.alive
        assert program.wait() == 143
        assert site.night.rows() == site.truth()
        assert "Traceback" not in program.stderr
        check_converges(site, 0)


@contextmanager
def delayed_landing(site: Site) -> Iterator[Program]:
    """A run whose journal is written, and whose landing cannot publish its first file before the end of the block."""
    own = site.night.lake / "_collector/acme"
    with site.run() as program:
        program.until(lambda: list(own.glob("journal/*/*.parquet")))
        with (own / "mutex").open("ab") as mutex:
            program.suspend()
            while not locked(mutex):  # it was suspended while it published, with the lock held
                program.resume()
                program.suspend()
            assert not list(site.night.lake.glob("sessions_*")), "the run was faster than the test"
            program.resume()
            yield program
        program.wait()


def locked(file: BinaryIO) -> bool:
    """Lock it, unless another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
