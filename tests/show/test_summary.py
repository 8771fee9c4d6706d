from __future__ import annotations

import io
from typing import TYPE_CHECKING

from collector.lake.landing import LandingCounts
from collector.lake.store import LakeBusy, LakeError
from collector.model import Skipped, Unit
from collector.show.summary import print_summary
from tests.show.samples import make_failure, make_part, make_series, make_summary, make_window

if TYPE_CHECKING:
    from collector.summary import Summary


def printed(summary: Summary) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    print_summary(summary, out, err)
    return out.getvalue(), err.getvalue()


def test_a_good_run_says_what_came_and_nothing_on_stderr() -> None:
    """Rows, windows, requests, files and duration stand on stdout; no workspace table where there is only one."""
    out, err = printed(make_summary(make_part(ok=1240, landed=LandingCounts(12345, 12, 3400, 14))))
    assert "12,345 rows added, 12 restated, 3,400 unchanged; 14 files written" in out
    assert "1,240 of 1,240 windows answered with 1,240 requests in 2 min 5 s" in out
    assert "12 rows restated (see table restatements)" in out
    assert "workspace  windows" not in out
    assert err == ""


def test_retries_are_told_apart() -> None:
    """Requests beyond one a window are retries."""
    part = make_part(ok=10)
    part.counts.attempts = 13
    assert "10 of 10 windows answered with 13 requests (3 retries among them)" in printed(make_summary(part))[0]


def test_workspaces_stand_below_one_another() -> None:
    """More than one workspace: each has its line of figures."""
    out, _ = printed(make_summary(make_part(ok=1500, landed=LandingCounts(9, 1, 2, 3)), make_part("globex", ok=2)))
    head, acme, globex = out.splitlines()[-3:]
    assert head.split()[:3] == ["workspace", "windows", "answered"]
    assert acme.split() == ["acme", "1,500", "1,500", "0", "0", "1,500", "9", "1", "2"]
    assert globex.split() == ["globex", "2", "2", "0", "0", "2", "0", "0", "0"]
    assert len(head) == len(acme) == len(globex)


def test_nothing_to_do_is_one_line() -> None:
    """A run without a planned window says that the lake holds all."""
    out, err = printed(make_summary(make_part(), make_part("globex")))
    assert out == "nothing to do: the lake holds all that is wanted as of 2026-11-23T03:00:00Z\n"
    assert err == ""


def test_what_an_earlier_run_left_is_told() -> None:
    """A run that only landed a dead run's journal says so."""
    out, _ = printed(make_summary(make_part(landed=LandingCounts(rows_added=7, files_written=2))))
    assert "landed what an earlier run had left in the journal: 7 rows added" in out


def test_one_cause_is_one_line() -> None:
    """Windows of one series that failed alike share a line with the whole span and the count."""
    failures = tuple(make_failure(make_window(first=first)) for first in (0, 10, 20))
    out, err = printed(make_summary(make_part(ok=5, failures=failures)))
    assert "failed: 3 windows\n  acme/ios by day  2026-11-01..2026-11-30  400 unknown segment_id (3 windows)\n" in err
    assert "unknown" not in out


def test_hours_are_named_as_hours() -> None:
    """A failed window of hours is named by its first and last hour."""
    failure = make_failure(make_window(make_series(unit=Unit.HOUR), length=24))
    assert (
        "by hour  2026-11-01T00:00:00Z..2026-11-01T23:00:00Z"
        in printed(make_summary(make_part(failures=(failure,))))[1]
    )


def test_a_cause_of_many_series_has_an_example() -> None:
    """What struck many series of a workspace is one line with counts and one of them."""
    failures = tuple(
        make_failure(make_window(make_series(app=f"app{number}")), "HTTP 503: the server failed", 503)
        for number in range(25)
    )
    _, err = printed(make_summary(make_part(failures=failures)))
    example = "such as acme/app0 by day  2026-11-01..2026-11-10"
    assert f"  acme  HTTP 503: the server failed (25 windows of 25 series, {example})\n" in err
    assert err.count("HTTP 503") == 1


def test_skipped_windows_are_counted_by_reason() -> None:
    """Each reason of each workspace has a line; few series are named."""
    skips = tuple(Skipped(make_window(first=first), "the deadline was reached") for first in range(3))
    beyond = tuple(
        Skipped(make_window(make_series("globex", f"a{number}")), "beyond --max-requests") for number in range(9)
    )
    _, err = printed(make_summary(make_part(skips=skips), make_part("globex", ok=1, skips=beyond)))
    assert "skipped: 12 windows" in err
    assert "  acme  the deadline was reached (3 windows: acme/ios by day)" in err
    assert "  globex  beyond --max-requests (9 windows of 9 series)" in err
    assert "acme: the deadline came first" in err
    assert "globex: --max-requests left the rest" in err
    assert "the next run asks for it again" in err


def test_advice_fits_the_error_and_names_its_workspaces_once() -> None:
    """401, 403, 400 and a failing server each get their own advice, with all workspaces concerned."""
    parts = [
        make_part(name, failures=(make_failure(make_window(make_series(name)), "no", status),))
        for name, status in [("a", 401), ("b", 401), ("c", 403), ("d", 400), ("e", 500), ("f", None)]
    ]
    _, err = printed(make_summary(*parts))
    assert "  a, b: the key was refused" in err
    assert "  c: the key lacks a permission: give it sessions.data_series" in err
    assert "  d: an id is unknown" in err
    assert "  e, f: the server or the network failed" in err


def test_an_interrupted_run_says_so_and_blames_no_server() -> None:
    """What was in flight at a signal is no failure of the server."""
    failure = make_failure(error="interrupted: interrupted by SIGTERM", status=None)
    _, err = printed(make_summary(make_part(ok=1, failures=(failure,)), interrupted=143))
    assert "interrupted: what had been answered has landed" in err
    assert "the server or the network" not in err


def test_problems_are_told_with_what_to_do() -> None:
    """A busy workspace and a lake error stand on stderr; such a run never had nothing to do."""
    busy = make_part("acme", problem=LakeBusy("workspace acme: another run holds it"))
    broken = make_part("globex", problem=LakeError("cannot write data.parquet: no space left"))
    out, err = printed(make_summary(busy, broken))
    assert "nothing to do" not in out
    assert "not run to the end: 2 workspaces\n  workspace acme: another run holds it\n  globex: cannot write" in err
    assert "acme: another run was at work: let it end" in err
    assert "globex: mend what is wrong with the lake" in err


def test_very_many_causes_are_cut() -> None:
    """A hundred causes do not bury the advice."""
    failures = tuple(make_failure(error=f"cause {number}") for number in range(100))
    _, err = printed(make_summary(make_part(failures=failures)))
    assert err.count("cause ") == 20
    assert "… and 80 more: see table collection_log" in err
