from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from collector.simulator.options import Fault, Faults
from tests.night import make_apps, make_segments
from tests.processes.false_servers import NONSENSE, false_server, nowhere
from tests.processes.program import Site

if TYPE_CHECKING:
    from pathlib import Path

CONCURRENCY, ATTEMPTS = 16, 3
BOUND = CONCURRENCY + 10 * ATTEMPTS
"""Requests: so many at once until it is plain that all fail, then ten windows, one after another."""
WINDOWS = 62
MEMBERS: dict[str, Any] = {"apps": make_apps(2), "segments": make_segments(30), "units": ["day"]}
PATIENT = {"attempts": ATTEMPTS, "base_seconds": 0.001, "max_seconds": 0.01}


def make_site(folder: Path, **of_bad: Any) -> Site:
    """A workspace that answers and one that does not."""
    settings: dict[str, Any] = {"concurrency": CONCURRENCY, "retry": PATIENT, "start": "2026-11-01"}
    return Site(folder, {"name": "good", **MEMBERS}, {"name": "bad", **MEMBERS, **of_bad}, **settings)


def check_broken_off(site: Site, said: str) -> None:
    """The bad workspace stops and says so, the good one lands; exit 3; the lake holds the good one's rows alone."""
    with site.run() as program:
        assert program.ended() == 3, program.stderr
    report = program.report
    assert report["attempts"] <= WINDOWS + BOUND
    assert {failure["workspace"] for failure in report["failures"]} == {"bad"}
    assert (report["windows_ok"], report["windows_failed"] + report["windows_skipped"]) == (WINDOWS, WINDOWS)
    for text in ("stopped after", "bad", said):
        assert text in program.stderr
    assert "Traceback" not in program.stderr
    assert site.night.rows() == site.truth("good")
    print(f"\n{said}: {report['attempts'] - WINDOWS} requests, {report['duration_seconds']} s")  # noqa: T201


@pytest.mark.parametrize("kind", ["refused", "nonsense"])
def test_a_server_that_is_down_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Refused connections, or replies that are not HTTP: a bounded number of requests, and the others finish."""
    with ExitStack() as stack:
        if kind == "refused":
            url, said = nowhere(), "could not connect to 127.0.0.1"
        else:
            url, connections = stack.enter_context(false_server(NONSENSE))
            said = "not valid HTTP"
        site = make_site(tmp_path, endpoint=url)
        stack.enter_context(site.served())
        check_broken_off(site, said)
        if kind == "nonsense":
            assert len(connections) <= BOUND


def test_a_server_that_says_nothing_is_left_alone(tmp_path: Path) -> None:
    """Each request runs into its timeout: so many of them, and the run ends."""
    with false_server(None) as (url, connections):
        site = make_site(tmp_path, endpoint=url, timeout_seconds=1, retry={**PATIENT, "attempts": 1})
        with site.served():
            check_broken_off(site, "within 1 s")
        assert len(connections) <= BOUND


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED, Fault.RESET, Fault.TEXT])
def test_a_workspace_that_only_fails_is_asked_again_by_the_next_run(tmp_path: Path, fault: Fault) -> None:
    """500s, HTML, half a JSON, resets, nonsense counts: stopped and said so; once it is over all of it is fetched."""
    bad = {"name": "bad", **MEMBERS}
    site = Site(tmp_path, bad, concurrency=CONCURRENCY, retry=PATIENT, start="2026-11-01")
    site.simulation.faults = Faults({fault: 1.0})
    with site.served():
        with site.run() as program:
            assert program.ended() == 3
        assert site.simulation.request_log.requests == program.report["attempts"] <= BOUND
        assert "stopped after" in program.stderr
        assert (program.report["windows_ok"], program.report["rows_added"]) == (0, 0)
        print(f"\n{fault}: {program.report['attempts']} requests of a bound of {BOUND}")  # noqa: T201
        site.simulation.faults = Faults()
        with site.run() as program:
            assert (program.ended(), program.report["windows_ok"]) == (0, WINDOWS)
        assert site.night.rows() == site.truth()
