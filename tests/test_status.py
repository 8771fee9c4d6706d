"""`status` beside the truth, in every state that a run or a hand leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from collector.clock import SystemClock
from collector.lake.lease import WorkspaceLock
from collector.lake.local import LocalStore
from collector.lake.paths import internal_folder
from collector.lake.process import ProcessIdentity
from tests.support.builders import NOW
from tests.support.night import make_apps, make_segments
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.night import Outcome

AS_OF = ("--as-of", NOW.isoformat())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    members = {"timezone": "America/New_York", "apps": make_apps(2), "segments": make_segments(1)}
    return Site(tmp_path, {"name": "acme", **members}, start="2026-10-28")


def status(site: Site, *arguments: str) -> tuple[int, dict[str, Any]]:
    outcome: Outcome = site.night.call("status", "--json", "--series", *arguments)
    return outcome.exit_code, outcome.report


def missing(site: Site) -> int:
    """Rows of the truth that the lake lacks."""
    return len(site.truth() - site.night.rows())


def test_before_the_first_run_everything_is_missing(site: Site) -> None:
    """Exit 3, as many missing buckets as the truth has rows; no key is needed and nothing is written."""
    code, report = status(site, *AS_OF)
    assert (code, report["complete"], report["last_run"]) == (3, False, None)
    assert report["workspaces"][0]["missing_buckets"] == len(site.truth())
    assert not site.night.lake.exists()
    assert site.night.call("status").exit_code == 3


def test_after_a_good_night_everything_is_there(site: Site) -> None:
    """Exit 0; complete through yesterday, of the last run's own instant; conditions for later jobs."""
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    before = site.night.bytes()
    code, report = status(site, *AS_OF)
    (acme,) = report["workspaces"]
    assert (code, report["complete"], acme["missing_buckets"], acme["failing_series"]) == (0, True, 0, 0)
    # 01:00 in New York: the hours up to 06:00 UTC are closed, and the 22nd is complete by day and by hour.
    assert (acme["complete_through"], acme["series"]) == ("2026-11-22", 8)
    assert acme["lag_seconds"] == timedelta(hours=1).total_seconds()
    assert report["last_run"]["exit_code"] == acme["last_run"]["exit_code"] == 0
    assert {series["first"][:10] for series in report["series"]} == {"2026-10-28"}
    for arguments, expected in [
        (("--complete-through", "2026-11-22"), 0),
        (("--complete-through", "2026-11-23"), 3),
        (("--max-lag", "2h"), 0),
        (("--max-lag", "59m"), 3),
    ]:
        assert status(site, *AS_OF, *arguments)[0] == expected, arguments
    assert site.night.bytes() == before


@pytest.mark.parametrize("damage", ["bounded", "file removed", "earlier start"])
def test_what_is_missing_is_counted_as_the_truth_has_it(site: Site, damage: str) -> None:
    """A bounded night, a data file that was removed, an earlier start: as many buckets as the lake lacks rows."""
    with site.served():
        bound = ("--max-requests", "9") if damage == "bounded" else ()
        site.night.run(NOW, *bound)
        if damage == "file removed":
            next(site.night.lake.glob("sessions_app_hourly/*/*/*")).unlink()
        elif damage == "earlier start":
            site.night.document["defaults"]["start"] = "2026-10-01"
            site.night.write()
    code, report = status(site, *AS_OF)
    (acme,) = report["workspaces"]
    assert (code, acme["missing_buckets"]) == (3, missing(site))
    assert acme["complete"] is False


def test_a_failed_night_names_its_series_and_why(site: Site) -> None:
    """A 401: nothing is there, each series failed or was skipped, and the page says what to do once."""
    with site.served():
        assert site.night.run(NOW, environ={"KEY_ACME": "wrong"}).exit_code == 3
    code, report = status(site, *AS_OF)
    (acme,) = report["workspaces"]
    assert (code, acme["failing_series"], acme["last_success_at"], acme["last_run"]["exit_code"]) == (3, 8, None, 3)
    assert all("401" in series["last_error"] for series in report["series"])
    shown = site.night.call("status", *AS_OF)
    assert shown.exit_code == 3


def test_a_run_that_died_is_named(site: Site) -> None:
    """Its lock is still there: `status` says so, whatever else is complete."""
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    store = LocalStore(site.night.lake, internal_folder("acme"))
    gone = replace(ProcessIdentity.current(), pid=2**22 + 1, start_time="long ago")
    WorkspaceLock(store, "acme", SystemClock(), "died", gone, NOW).acquire()
    assert status(site, *AS_OF)[0] == 0
    assert store.list("_collector/acme")["_collector/acme/lock.json"], "status takes no lock"


def test_a_retired_app_is_behind_in_nothing(site: Site) -> None:
    """Its `end` has passed and is covered: it limits neither the date nor the lag."""
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        site.night.document["workspaces"][0]["apps"][0]["end"] = "2026-11-10"
        site.night.write()
        later = NOW + timedelta(days=1)
        site.simulation.now = later
        assert site.night.run(later).exit_code == 0
    code, report = status(site, "--as-of", later.isoformat())
    assert (code, report["workspaces"][0]["complete_through"]) == (0, "2026-11-23")
    assert report["workspaces"][0]["lag_seconds"] == timedelta(hours=1).total_seconds()


def test_after_more_than_a_night_what_is_wanted_now_counts(tmp_path: Path) -> None:
    """A last run of an hour ago counts by its own instant; one that began long ago, by now."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-11-01", units=["day"], scopes=["app"])
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    assert status(site)[0] == 0, "it began just now, as of two days ago"
    assert status(site, "--as-of", (NOW + timedelta(days=3)).isoformat())[0] == 3


def test_the_screen_has_a_line_a_workspace_and_a_strip(site: Site) -> None:
    """Those that matter come first."""
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    from click.testing import CliRunner

    from collector.cli.main import cli

    shown = CliRunner().invoke(cli, ["--config", str(site.night.config), "status", "--series", *AS_OF]).stdout
    assert "acme" in shown
    assert "complete" in shown
    assert "#" * 26 in shown
    assert "acme/app0/segment0 by hour" in shown
