from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from collector.simulator.options import Fault, Faults
from tests.processes.broken_servers import NONSENSE, broken_server, unused_address
from tests.support.night import make_apps, make_segments
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path

CONCURRENCY, ATTEMPTS = 16, 3
BOUND = CONCURRENCY + 10 * ATTEMPTS
"""Requests: those in flight when the first ones fail, then ten windows, one after another."""
WINDOWS = 62
MEMBERS: dict[str, Any] = {"apps": make_apps(2), "segments": make_segments(30), "units": ["day"]}
PATIENT = {"attempts": ATTEMPTS, "base_seconds": 0.001, "max_seconds": 0.01}


def make_site(folder: Path, **of_bad: Any) -> Site:
    """A workspace that answers and one that does not."""
    settings: dict[str, Any] = {"concurrency": CONCURRENCY, "retry": PATIENT, "start": "2026-11-01"}
    return Site(folder, {"name": "good", **MEMBERS}, {"name": "bad", **MEMBERS, **of_bad}, **settings)


def check_stopped(site: Site, reason: str) -> None:
    """The bad workspace stops with a message, the good one lands; exit 3; the lake has the good one's rows alone."""
    with site.run() as program:
        assert program.wait() == 3, program.stderr
    report = program.report
    assert report["attempts"] <= WINDOWS + BOUND
    assert {failure["workspace"] for failure in report["failures"]} == {"bad"}
    assert (report["windows_ok"], report["windows_failed"] + report["windows_skipped"]) == (WINDOWS, WINDOWS)
    for text in ("stopped after", "bad", reason):
        assert text in program.stderr
    assert "Traceback" not in program.stderr
    assert site.night.rows() == site.truth("good")
    print(f"\n{reason}: {report['attempts'] - WINDOWS} requests, {report['duration_seconds']} s")  # noqa: T201


@pytest.mark.parametrize("kind", ["refused", "nonsense"])
def test_a_server_that_is_down_gets_few_requests(tmp_path: Path, kind: str) -> None:
    """Refused connections, or replies that are not HTTP: a bounded number of requests, and the others finish."""
    with ExitStack() as stack:
        if kind == "refused":
            url, reason = unused_address(), "could not connect to 127.0.0.1"
        else:
            url, connections = stack.enter_context(broken_server(NONSENSE))
            reason = "not valid HTTP"
        site = make_site(tmp_path, endpoint=url)
        stack.enter_context(site.served())
        check_stopped(site, reason)
        if kind == "nonsense":
            assert len(connections) <= BOUND


def test_a_silent_server_gets_few_requests(tmp_path: Path) -> None:
    """Each request times out: after a bounded number of them the run ends."""
    with broken_server(None) as (url, connections):
        site = make_site(tmp_path, endpoint=url, timeout_seconds=1, retry={**PATIENT, "attempts": 1})
        with site.served():
            check_stopped(site, "within 1 s")
        assert len(connections) <= BOUND


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED, Fault.RESET, Fault.TEXT])
def test_a_workspace_that_only_fails_is_requested_again_by_the_next_run(tmp_path: Path, fault: Fault) -> None:
    """500s, HTML, half a JSON, resets, invalid counts: it is stopped with a message; later all of it is fetched."""
    bad = {"name": "bad", **MEMBERS}
    site = Site(tmp_path, bad, concurrency=CONCURRENCY, retry=PATIENT, start="2026-11-01")
    site.simulation.faults = Faults({fault: 1.0})
    with site.served():
        with site.run() as program:
            assert program.wait() == 3
        assert site.simulation.request_log.requests == program.report["attempts"] <= BOUND
        assert "stopped after" in program.stderr
        assert (program.report["windows_ok"], program.report["rows_added"]) == (0, 0)
        print(f"\n{fault}: {program.report['attempts']} requests of a bound of {BOUND}")  # noqa: T201
        site.simulation.faults = Faults()
        with site.run() as program:
            assert (program.wait(), program.report["windows_ok"]) == (0, WINDOWS)
        assert site.night.rows() == site.truth()
