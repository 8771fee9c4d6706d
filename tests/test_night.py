from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from collector.model import Scope, SeriesKey, Unit
from collector.simulator.options import Fault, Faults, HourFormat, Options
from collector.simulator.options import Order as PointOrder
from collector.simulator.simulation import Simulation
from tests.support.builders import NOW, days
from tests.support.night import make_apps, make_segments
from tests.support.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZONES = {"newyork": "America/New_York", "tokyo": "Asia/Tokyo", "kolkata": "Asia/Kolkata", "utc": "UTC"}


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Four zones, two apps and three segments each, all scopes, both units, from before the clocks change."""
    workspaces = [
        {"name": name, "timezone": zone, "apps": make_apps(2), "segments": make_segments(3)}
        for name, zone in ZONES.items()
    ]
    site = Site(
        tmp_path_factory.mktemp("four"), *workspaces, scopes=[str(scope) for scope in Scope], start="2026-10-20"
    )
    with site.served():
        yield site


def test_a_lake_equals_the_truth_and_changes_only_with_new_counts(four: Site) -> None:
    """Each row is the API's; at the same instant again: no request, no change; the next night: lookback and new day."""
    night = four.night
    first = night.run(NOW)
    assert (first.exit_code, first.report["windows_failed"]) == (0, 0)
    rows = night.rows()
    assert rows == four.truth()

    before = night.bytes()
    again = night.run(NOW)
    assert (again.exit_code, again.report["requests"], again.report["files_written"]) == (0, 0, 0)
    assert night.bytes() == before

    tomorrow = NOW + timedelta(days=1)
    four.simulation.now = tomorrow
    planned = night.call("plan", "--json", "--as-of", tomorrow.isoformat()).report
    series = 4 * (2 + 2 * 3 + 1 + 3)
    assert planned["by_reason"]["gap"] == planned["by_reason"]["forced"] == 0
    assert planned["requests"] == series * (1 + 4)  # 15 days; 336 + 24 hours
    old = {row[:-1]: row[-1] for row in rows}
    second = night.run(tomorrow)
    assert second.report["requests"] == planned["requests"]
    rows = night.rows()
    assert rows == four.truth()
    new = {row[:-1]: row[-1] for row in rows}
    changed = {key for key in old if new[key] != old[key]}
    assert changed
    assert second.report["rows_restated"] == len(changed)
    assert second.report["rows_added"] == len(new) - len(old)
    key = "(workspace, scope, unit, app_id, segment_id, bucket_start)"
    restated = night.query(f"SELECT count(*), count(DISTINCT {key}) FROM {{restatements}}")
    assert restated == [(len(changed), len(changed))]
    higher = night.query("SELECT count(*) FROM {sessions_app_segment_hourly} WHERE revision = 1")
    assert higher == [(len({key for key in changed if key[1:3] == ("app_segment", "hour")}),)]


def test_a_failing_workspace_does_not_affect_the_others(tmp_path: Path) -> None:
    """A wrong key stops its workspace, a deleted segment fails alone, the third one lands; the next run repairs."""
    segments = make_segments(2)
    site = Site(
        tmp_path,
        {"name": "sound", "segments": segments},
        {"name": "badkey", "segments": segments},
        {"name": "deadsegment", "segments": [*segments, {"name": "gone", "id": "id-gone"}]},
        start="2026-11-01",
    )
    dead = Options(dead=frozenset({"gone"}))
    site.simulation = Simulation(site.night.settings().workspaces, dead, now=NOW)
    with site.served():
        first = site.night.run(NOW, environ={"KEY_BADKEY": "not-the-key"})
    assert first.exit_code == 3
    assert site.night.rows() >= site.truth("sound")
    causes = {(one["workspace"], one["segment"], one["http_status"]) for one in first.report["failures"]}
    assert ("badkey", None, 401) in causes or ("badkey", "segment0", 401) in causes
    assert {cause for cause in causes if cause[0] != "badkey"} == {("deadsegment", "gone", 400)}
    assert "401" in first.stderr
    assert "deadsegment/ios/gone" in first.stderr
    assert "not-the-key" not in first.stderr
    logged = site.night.query(
        "SELECT DISTINCT workspace, status, http_status FROM {collection_log} WHERE status <> 'ok'"
    )
    assert {("badkey", "failed", 401), ("deadsegment", "failed", 400)} <= set(logged)

    site.simulation = Simulation(site.night.settings().workspaces, now=NOW)
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    assert site.night.rows() == site.truth()


EVERY_FAULT = Faults(dict.fromkeys(Fault, 0.03), first_attempts=1, retry_after_seconds=0, slow_seconds=0.05)


def test_the_lake_is_correct_with_every_fault_at_once(tmp_path: Path) -> None:
    """With every fault of the stand-in on, half of the first attempts fail, and the lake still equals the truth."""
    members = {"apps": make_apps(3), "segments": make_segments(3)}
    site = Site(tmp_path, {"name": "tokyo", "timezone": "Asia/Tokyo", **members}, start="2026-10-01")
    site.simulation.faults = EVERY_FAULT
    with site.served():
        result = site.night.run(NOW)
    assert (result.exit_code, result.report["failures"]) == (0, [])
    assert result.report["attempts"] > 1.3 * result.report["requests"]
    assert site.night.rows() == site.truth()


@pytest.mark.parametrize("hours", HourFormat)
def test_every_form_of_an_hour_is_read(tmp_path: Path, hours: HourFormat) -> None:
    """In any form of an hour, each point lands in its own hour; also unordered, and with unknown fields."""
    naive = "workspace" if hours is HourFormat.NAIVE_LOCAL else "utc"
    site = Site(tmp_path, {"name": "tokyo", "timezone": "Asia/Tokyo", "naive_hours": naive}, units=["hour"])
    options = Options(hour_format=hours, order=PointOrder.SHUFFLED, extra_fields=True)
    site.simulation = Simulation(site.night.settings().workspaces, options, now=NOW)
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    assert site.night.rows() == site.truth()


def test_what_is_not_reported_is_absent_and_what_was_landed_stays(tmp_path: Path) -> None:
    """A bucket that the API leaves out has no row and is not requested again; a landed one that it leaves out stays."""
    site = Site(tmp_path, {"name": "acme"}, units=["day"])
    key = SeriesKey("sessions", Scope.APP, Unit.DAY, "id-ios", None)
    first, second = days("2026-11-15", "2026-11-16").first, days("2026-11-16", "2026-11-16").first
    site.simulation.withhold("acme", key, [first])
    with site.served():
        site.night.run(NOW)
        landed = site.night.rows()
        assert landed == site.truth()
        assert len(landed) == 13
        site.simulation.withhold("acme", key, [second])
        again = site.night.run(NOW + timedelta(hours=7))
    assert (again.exit_code, again.report["requests"]) == (0, 1)
    assert {row[-2] for row in site.night.rows()} >= {row[-2] for row in landed}


def test_a_bounded_run_takes_the_newest_and_the_next_goes_on(tmp_path: Path) -> None:
    """--max-requests limits the requests, newest first, exits 3 and names the rest; the next run requests just that."""
    site = Site(tmp_path, {"name": "acme", "apps": make_apps(2)}, start="2026-01-01", units=["day"])
    with site.served():
        first = site.night.run(NOW, "--max-requests", "3")
        assert (first.exit_code, first.report["requests"], first.report["windows_skipped"]) == (3, 3, 5)
        assert "max-requests" in first.stderr
        newest = site.night.query("SELECT count(*), max(date) FROM {sessions_app_daily}")
        assert newest == [(300, date(2026, 11, 22))]
        assert site.night.query("SELECT count(*) FROM {collection_log} WHERE status = 'skipped'") == [(2,)]
        second = site.night.run(NOW)
    assert (second.exit_code, second.report["requests"]) == (0, 5)
    assert site.night.rows() == site.truth()


def test_a_span_is_read_again_on_demand(tmp_path: Path) -> None:
    """--from and --to read that span alone, and a count that changed is restated once."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-10-01", units=["day"])
    key = SeriesKey("sessions", Scope.APP, Unit.DAY, "id-ios", None)
    with site.served():
        site.night.run(NOW)
        bucket = days("2026-10-05", "2026-10-05").first
        site.simulation.restate("acme", key, {bucket: 7})
        assert site.night.run(NOW).report["requests"] == 0
        forced = site.night.run(NOW, "--from", "2026-10-05", "--to", "2026-10-06")
    assert (forced.report["requests"], forced.report["rows_restated"], forced.report["rows_unchanged"]) == (1, 1, 1)
    restated = site.night.query("SELECT date, new_value, revision FROM {restatements}")
    assert restated == [(date(2026, 10, 5), 7, 1)]
    logged = site.night.query("SELECT reason, points, expected_points FROM {collection_log} ORDER BY requested_at")
    assert logged == [("new", 53, 53), ("forced", 2, 2)]


def test_a_renamed_app_keeps_its_rows(tmp_path: Path) -> None:
    """A new name for the same id requests nothing again; rows that are written later have it."""
    site = Site(tmp_path, {"name": "acme"}, units=["day"])
    with site.served():
        site.night.run(NOW)
        site.night.document["workspaces"][0]["apps"][0]["name"] = "iphone"
        site.night.write()
        assert site.night.run(NOW).report["requests"] == 0
        site.simulation.now = NOW + timedelta(days=1)
        site.night.run(NOW + timedelta(days=1))
    newest = site.night.query("SELECT app FROM {sessions_app_daily} ORDER BY date DESC LIMIT 1")
    assert newest == [("iphone",)]


def test_a_changed_time_zone_is_refused(tmp_path: Path) -> None:
    """The lake keeps the time zone of its days: with another one nothing is fetched, and the exit code is 2."""
    site = Site(tmp_path, {"name": "acme"}, units=["day"])
    with site.served():
        site.night.run(NOW)
        before = site.night.bytes()
        site.night.document["workspaces"][0]["timezone"] = "Asia/Tokyo"
        site.night.write()
        refused = site.night.run(NOW)
        planned = site.night.call("plan", "--json")
    assert (refused.exit_code, planned.exit_code) == (2, 2)
    assert "timezone: UTC" in refused.stderr
    assert site.night.bytes() == before


def test_a_deleted_data_file_is_fetched_again(tmp_path: Path) -> None:
    """A data file that is gone voids the coverage of its partition, and of no other."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-09-01", units=["day"])
    with site.served():
        site.night.run(NOW)
        (site.night.lake / "sessions_app_daily/workspace=acme/month=2026-10-01/data.parquet").unlink()
        again = site.night.run(NOW)
    assert (again.exit_code, again.report["rows_added"]) == (0, 31)
    assert site.night.rows() == site.truth()


def test_invalid_options_are_refused(tmp_path: Path) -> None:
    """Unknown workspace or app, a span that ends before it begins, an instant without offset: exit 2, with reason."""
    night = Site(tmp_path, {"name": "acme"}).night
    for arguments, said in (
        (["--workspace", "acne"], "did you mean acme?"),
        (["--app", "iso"], "did you mean ios?"),
        (["--from", "2026-11-02", "--to", "2026-11-01"], "later"),
        (["--as-of", "2026-11-02T03:00:00"], "offset"),
        (["--deadline", "soon"], "06:30"),
    ):
        result = night.call("run", *arguments)
        assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_a_wrong_clock_lands_nothing(tmp_path: Path) -> None:
    """Without `--as-of`, a machine whose clock is days ahead of the server's stops after one request; exit 3."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-11-20", units=["day"])
    with site.served():
        outcome = site.night.call("run", "--json")
    assert (outcome.exit_code, outcome.report["attempts"], site.night.rows()) == (3, 1, set())
    assert "the server's says 2026-11-23T06:00:00Z" in outcome.stderr


def test_a_run_ahead_of_time_covers_nothing_and_the_next_one_heals(tmp_path: Path) -> None:
    """Days not ended by the server's `Date` are not covered, whatever `--as-of` says; a later run has them."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-11-01", units=["day", "hour"])
    later = site.simulation.now + timedelta(days=3)
    with site.served():
        ahead = site.night.run(later)
        site.simulation.now = later
        healed = site.night.run(later)
    assert (ahead.exit_code, healed.exit_code) == (3, 0)
    assert "is 3 days, 0:00:00 ahead of the server's clock" in ahead.stderr
    assert {row[:-1] for row in site.night.rows()} == {row[:-1] for row in site.truth()}


def test_a_bound_below_what_a_night_needs_makes_progress(tmp_path: Path) -> None:
    """Ten series, four windows a night: series take turns, so none is forgotten; a warning says what a night needs."""
    site = Site(tmp_path, {"name": "acme", "apps": make_apps(10)}, units=["day"], scopes=["app"], start="2026-06-01")
    with site.served():
        for number in range(3):
            site.simulation.now = NOW + timedelta(days=number)
            outcome = site.night.run(site.simulation.now, "--max-requests", "4")
            assert outcome.report["requests"] == 4
            assert "less than one night needs (10 windows" in outcome.stderr
        assert site.night.query("SELECT count(DISTINCT app_id) FROM {coverage}") == [(10,)]
        planned = site.night.call("plan", "--json", "--as-of", site.simulation.now.isoformat())
    assert planned.report["nightly_requests"] == 10
    assert planned.report["workspaces"][0]["nightly_requests"] == 10
