from __future__ import annotations

import io
from typing import TYPE_CHECKING

from collector.lake.landing import LandingCounts
from collector.lake.store import LakeBusy, LakeError
from collector.model import Skipped, Unit
from collector.show.summary import print_summary, suggestions
from tests.show.samples import make_failure, make_part, make_series, make_summary, make_window

if TYPE_CHECKING:
    from collector.summary import Summary


def printed(summary: Summary) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    print_summary(summary, out, err)
    return out.getvalue(), err.getvalue()


def test_a_run_without_failures_prints_results_and_nothing_on_stderr() -> None:
    """Rows, windows, requests, files and duration are on stdout; a single workspace has no table."""
    out, err = printed(make_summary(make_part(ok=1240, landed=LandingCounts(12345, 12, 3400, 14))))
    assert "12,345 rows added, 12 restated, 3,400 unchanged; 14 files written" in out
    assert "1,240 of 1,240 windows answered with 1,240 requests in 2 min 5 s" in out
    assert "see the table restatements" in out
    assert "workspace  windows" not in out
    assert err == ""


def test_retries_are_counted() -> None:
    """Requests beyond one for each window are retries."""
    part = make_part(ok=10)
    part.counts.attempts = 13
    assert "10 of 10 windows answered with 13 requests (including 3 retries)" in printed(make_summary(part))[0]


def test_several_workspaces_are_a_table() -> None:
    """With more than one workspace, each has a row of figures."""
    out, _ = printed(make_summary(make_part(ok=1500, landed=LandingCounts(9, 1, 2, 3)), make_part("globex", ok=2)))
    head, acme, globex = out.splitlines()[-3:]
    assert head.split()[:3] == ["workspace", "windows", "ok"]
    assert acme.split() == ["acme", "1,500", "1,500", "0", "0", "1,500", "9", "1", "2"]
    assert globex.split() == ["globex", "2", "2", "0", "0", "2", "0", "0", "0"]
    assert len(head) == len(acme) == len(globex)


def test_nothing_to_do_is_one_line() -> None:
    """A run without a planned window says that the lake is complete."""
    out, err = printed(make_summary(make_part(), make_part("globex")))
    assert out == "nothing to do: the lake is complete as of 2026-11-23T03:00:00Z\n"
    assert err == ""


def test_a_landed_journal_of_an_earlier_run_is_reported() -> None:
    """A run that only landed the journal of a killed run says so."""
    out, _ = printed(make_summary(make_part(landed=LandingCounts(rows_added=7, files_written=2))))
    assert "journal of an earlier run: 7 rows added" in out


def test_what_to_do_comes_before_what_the_next_run_does() -> None:
    """The advice for a rejected key comes first: until it is followed, the next run fails in the same way."""
    failure = make_failure(make_window(), "HTTP 401: the API key was rejected", 401)
    lines = suggestions(make_summary(make_part(failures=(failure,))))
    assert lines[-1] == "the next run requests these windows again"
    assert lines[0].startswith("acme: ")


def test_one_cause_is_one_paragraph() -> None:
    """Windows of one series with one error share a paragraph: the error with its count, then the series and span."""
    failures = tuple(make_failure(make_window(first=first)) for first in (0, 10, 20))
    out, err = printed(make_summary(make_part(ok=5, failures=failures)))
    assert "failed: 3 windows\n  acme: HTTP 400: unknown segment_id (3 windows)\n" in err
    assert "\n    acme/ios by day  2026-11-01..2026-11-30\n" in err
    assert "unknown" not in out


def test_hours_are_named_as_hours() -> None:
    """A failed window of hours is named by its first and last hour."""
    failure = make_failure(make_window(make_series(unit=Unit.HOUR), length=24))
    assert (
        "by hour  2026-11-01T00:00:00Z..2026-11-01T23:00:00Z"
        in printed(make_summary(make_part(failures=(failure,))))[1]
    )


def test_one_cause_in_many_series_has_an_example() -> None:
    """An error of many series of a workspace has counts and one series as an example."""
    failures = tuple(
        make_failure(make_window(make_series(app=f"app{number}")), "HTTP 503: the server failed", 503)
        for number in range(25)
    )
    _, err = printed(make_summary(make_part(failures=failures)))
    example = "such as acme/app0 by day  2026-11-01..2026-11-10"
    assert f"  acme: HTTP 503: the server failed (25 windows of 25 series)\n    {example}\n" in err
    assert err.count("HTTP 503") == 1


def test_skipped_windows_are_counted_by_reason() -> None:
    """Each reason of each workspace has a count, and names the series where they are few."""
    skips = tuple(Skipped(make_window(first=first), "the deadline was reached") for first in range(3))
    beyond = tuple(
        Skipped(make_window(make_series("globex", f"a{number}")), "beyond --max-requests") for number in range(9)
    )
    _, err = printed(make_summary(make_part(skips=skips), make_part("globex", ok=1, skips=beyond)))
    assert "skipped: 12 windows" in err
    assert "  acme: the deadline was reached (3 windows)\n    acme/ios by day\n" in err
    assert "  globex: beyond --max-requests (9 windows of 9 series)\n" in err
    assert "acme: the deadline" in err
    assert "globex: --max-requests" in err
    assert "the next run requests these windows again" in err


def test_a_suggestion_fits_the_error_and_names_its_workspaces_once() -> None:
    """401, 403, 400 and a failing server each have their own suggestion, with all its workspaces."""
    parts = [
        make_part(name, failures=(make_failure(make_window(make_series(name)), "no", status),))
        for name, status in [("a", 401), ("b", 401), ("c", 403), ("d", 400), ("e", 500), ("f", None)]
    ]
    _, err = printed(make_summary(*parts))
    assert "  a, b: the API key was rejected" in err
    assert "  c: the API key lacks the permission" in err
    assert "  d: an id is unknown to the API" in err
    assert "  e, f: the server or the network failed" in err


def test_an_interrupted_run_does_not_suggest_a_server_failure() -> None:
    """A request that was in flight at a signal is not a failure of the server."""
    failure = make_failure(error="interrupted: interrupted by SIGTERM", status=None)
    _, err = printed(make_summary(make_part(ok=1, failures=(failure,)), interrupted=143))
    assert "interrupted: all answers" in err
    assert "the server or the network" not in err


def test_a_lake_problem_has_a_suggestion() -> None:
    """A busy workspace and a lake error are on stderr; such a run does not say "nothing to do"."""
    busy = make_part("acme", problem=LakeBusy("workspace acme: another run holds it"))
    broken = make_part("globex", problem=LakeError("cannot write data.parquet: no space left"))
    out, err = printed(make_summary(busy, broken))
    assert "nothing to do" not in out
    assert "not completed: 2 workspaces\n  workspace acme: another run holds it\n  globex: cannot write" in err
    assert "acme: another run was in progress" in err
    assert "globex: fix the problem with the lake" in err


def test_only_the_first_causes_are_shown() -> None:
    """Of a hundred causes, 20 are shown, and the rest are counted."""
    failures = tuple(make_failure(error=f"cause {number}") for number in range(100))
    _, err = printed(make_summary(make_part(failures=failures)))
    assert err.count("cause ") == 20
    assert "… and 80 more: see the table collection_log" in err
