from __future__ import annotations

import fcntl
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import TYPE_CHECKING, BinaryIO

import pytest

from collector.simulator.options import Fault, Faults, Options, PoolOptions
from tests.night import make_apps, make_segments
from tests.processes.false_servers import false_server
from tests.processes.program import Program, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = ((SIGTERM, 143), (SIGINT, 130))
WINDOWS = 88


def make_site(folder: Path, options: Options | None = None, concurrency: int = 4) -> Site:
    """A workspace of 44 series by day and by hour, one window each."""
    members = {"apps": make_apps(4), "segments": make_segments(10)}
    spans = {"start": "2026-11-20", "concurrency": concurrency}
    return Site(folder, {"name": "acme", **members}, options=options, **spans)


def check_converges(site: Site, asked: int) -> None:
    """The next run asks for so many windows, finds no lock in its way, and makes the lake equal the truth."""
    site.simulation.faults = Faults()
    with site.run() as program:
        assert (program.ended(), program.report["requests"]) == (0, asked)
    assert "died" not in program.stderr
    assert site.night.rows() == site.truth()


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_ends_a_run_with_all_that_came_landed(tmp_path: Path, number: Signals, code: int) -> None:
    """A first signal lands every answer, prints the summary, exits 143 or 130; the next run asks for the rest alone."""
    site = make_site(tmp_path, Options(latency_ms=(40, 60)))
    with site.served():
        with site.run() as program:
            program.until(lambda: site.answered() >= 20)
            program.send(number)
            assert program.ended() == code
        report = program.report
        assert (report["exit_code"], report["windows_failed"]) == (code, 0)
        assert report["windows_ok"] == site.answered()
        assert report["windows_ok"] + report["windows_skipped"] == WINDOWS
        assert report["rows_added"] == len(site.night.rows())
        assert site.night.rows() < site.truth()
        assert f"interrupted by {number.name}" in program.stderr
        check_converges(site, WINDOWS - report["windows_ok"])


def test_what_is_in_flight_gets_its_grace(tmp_path: Path) -> None:
    """Answers that come within the grace are landed; those that do not are given up, and the run ends all the same."""
    members = {"apps": make_apps(4), "segments": make_segments(10)}
    with false_server(None) as (silent, connections):
        workspaces = ({"name": "acme", **members}, {"name": "late", "endpoint": silent, **members})
        site = Site(tmp_path, *workspaces, start="2026-11-20", concurrency=8, timeout_seconds=600)
        site.simulation.faults = Faults({Fault.SLOW: 1.0}, slow_seconds=1.0)
        with site.served():
            with site.run() as program:
                program.until(lambda: site.simulation.request_log.in_flight >= 8 and connections)
                program.send(SIGTERM)
                assert program.ended() == 143
            report = program.report
            assert report["windows_ok"] == site.simulation.request_log.requests >= 8
            assert report["windows_failed"] == len(connections)
            assert {failure["workspace"] for failure in report["failures"]} == {"late"}
            assert {failure["error"] for failure in report["failures"]} == {"interrupted: interrupted by SIGTERM"}
            assert site.night.rows() < site.truth("acme")
            site.night.document["workspaces"].pop()
            site.night.write()
            check_converges(site, WINDOWS - report["windows_ok"])


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_second_signal_ends_it_at_once(tmp_path: Path, number: Signals, code: int) -> None:
    """A second signal drops what is in flight: no trace, no lock left behind, and the next run converges."""
    site = make_site(tmp_path, concurrency=8)
    with site.served():
        with site.run("--app", "app1") as program:
            assert program.ended() == 0
        site.simulation.faults = Faults({Fault.SLOW: 1.0}, slow_seconds=600)
        with site.run() as program:
            program.until(lambda: site.simulation.request_log.in_flight)
            program.send(number)
            program.until_it_says(number.name)
            program.send(number)
            assert program.ended() == code
        assert f"{number.name} again" in program.stderr
        assert "Traceback" not in program.stderr
        assert program.stdout == ""
        assert not list(site.night.lake.rglob("lock.json"))
        check_converges(site, WINDOWS - 22)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_it_starts(tmp_path: Path, number: Signals, code: int) -> None:
    """A program that has not got as far as its run ends without a trace, with nothing written."""
    site = make_site(tmp_path)
    with site.run() as program:
        program.until(lambda: "libarrow" in Path(f"/proc/{program.pid}/maps").read_text())
        program.send(number)
        assert program.ended() == code
    assert (program.stdout, program.stderr) == ("", "")
    assert not site.night.lake.exists()


def test_a_signal_while_the_pool_is_empty(tmp_path: Path) -> None:
    """A lane that waits for the clock hour does not keep its run from ending."""
    site = make_site(tmp_path, Options(pool=PoolOptions(limit=30)))
    with site.served():
        with site.run() as program:
            program.until_it_says("paused until")
            program.send(SIGTERM)
            assert program.ended() == 143
        assert program.report["windows_ok"] == site.answered() == 24
        site.simulation.workspace("acme").quota.refill()
        with site.run("--max-requests", "1") as program:
            assert (program.ended(), program.report["requests"]) == (3, 1)


@pytest.mark.parametrize("signals", [1, 3])
def test_signals_while_it_lands(tmp_path: Path, signals: int) -> None:
    """However many signals come during a landing, it is finished, and the lock given back after it."""
    site = make_site(tmp_path)
    with site.served():
        with landing_held_up(site) as program:
            for told in ("SIGTERM: no more is sent", "SIGTERM again", "SIGTERM again")[:signals]:
                program.send(SIGTERM)
                program.until_it_says(told)
            assert program.alive
        assert program.ended() == 143
        assert site.night.rows() == site.truth()
        assert "Traceback" not in program.stderr
        check_converges(site, 0)


@contextmanager
def landing_held_up(site: Site) -> Iterator[Program]:
    """A run whose journal is written, and whose landing cannot publish its first file before the block is left."""
    own = site.night.lake / "_collector/acme"
    with site.run() as program:
        program.until(lambda: list(own.glob("journal/*/*.parquet")))
        with (own / "mutex").open("ab") as mutex:
            program.sleep()
            while not locked(mutex):  # it fell asleep while it published, with the lock held
                program.wake()
                program.sleep()
            assert not list(site.night.lake.glob("sessions_*")), "it was faster than the test"
            program.wake()
            yield program
        program.ended()


def locked(file: BinaryIO) -> bool:
    """Lock it, unless another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
