"""What becomes of coverage that is not true any more: files that were lost or rewritten, clocks, missed nights."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from collector.buckets import day_number
from collector.clock import SystemClock
from collector.lake.lease import WorkspaceLock
from collector.lake.local import LocalStore
from collector.lake.paths import internal_folder
from collector.lake.process import ProcessIdentity
from collector.model import Scope, SeriesKey, Unit
from tests.support.builders import NOW
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path

IOS = SeriesKey("sessions", Scope.APP, Unit.DAY, "id-ios", None)
BY_DAY: dict[str, Any] = {"units": ["day"], "scopes": ["app"]}


def rewrite(file: Path, rows: int) -> None:
    """Keep the first rows, and the footer's notes, as a careful hand would with pyarrow."""
    table = pq.read_table(file, partitioning=None)
    footer = {key: text for key, text in (pq.read_metadata(file).metadata or {}).items() if key != b"ARROW:schema"}
    with pq.ParquetWriter(file, table.schema, store_schema=False) as writer:
        writer.write_table(table.slice(0, rows))
        writer.add_key_value_metadata({key.decode(): text.decode() for key, text in footer.items()})


def covered_dates(site: Site) -> set[date]:
    spans: list[Any] = site.night.query("SELECT first_date, last_date FROM {coverage} WHERE answered_at IS NOT NULL")
    return {first + timedelta(days=number) for first, last in spans for number in range((last - first).days + 1)}


def test_a_data_file_that_was_rewritten_is_fetched_again(tmp_path: Path) -> None:
    """It keeps its footer's note and has fewer rows: its size and rows are not those that the coverage recorded."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-10-01", **BY_DAY)
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        rewrite(site.night.lake / "sessions_app_daily/workspace=acme/month=2026-10-01/data.parquet", 3)
        repaired = site.night.call("repair", "--dry-run", "--json")
        (found,) = repaired.report["workspaces"][0]["found"]
        assert (repaired.exit_code, "it has 3 rows, and was written with 31" in found["reason"]) == (5, True)
        planned = site.night.call("plan", "--json", "--as-of", NOW.isoformat())
        assert planned.report["by_reason"]["gap"] == 1
        again = site.night.run(NOW)
    assert again.exit_code == 0
    assert again.stderr.count("1 file of sessions_app_daily was changed") == 1
    assert site.night.rows() == site.truth()


@pytest.mark.parametrize("between", ["nothing", "a night that fails", "a night that is bounded"])
def test_without_a_start_a_lost_file_is_fetched_again(tmp_path: Path, between: str) -> None:
    """Its buckets stay wanted, though nothing covers them, through nights that do not reach them."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-07-01", **BY_DAY)
    night = site.night
    with site.served():
        assert night.run(NOW).exit_code == 0
        complete = night.rows()
        del night.document["defaults"]["start"]
        night.write()
        (night.lake / "sessions_app_daily/workspace=acme/month=2026-07-01/data.parquet").unlink()
        # The reference is a night later, with restated counts.
        site.simulation.now = NOW + timedelta(hours=7)
        if between == "a night that fails":
            site.simulation.restate("acme", IOS, {day_number(NOW.date()) - 1: 7})
            failed = night.run(site.simulation.now, environ={"KEY_ACME": "wrong"})
            assert failed.exit_code == 3
        elif between == "a night that is bounded":
            assert night.run(site.simulation.now, "--max-requests", "1").exit_code == 3
        planned = night.call("plan", "--as-of", NOW.isoformat()).stderr
        # Once a landing has recorded what was lost, it is no news any more.
        assert ("1 file of sessions_app_daily is missing" in planned) == (between != "a night that is bounded")
        site.simulation.now = NOW + timedelta(hours=14)
        assert night.run(site.simulation.now).exit_code == 0
    assert {row[:-1] for row in night.rows()} == {row[:-1] for row in complete}
    assert min(covered_dates(site)) == date(2026, 7, 1)


def test_nights_that_were_missed_leave_no_young_number(tmp_path: Path) -> None:
    """After an outage as long as the lookback, the first good night reads again what was read when it was young."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-10-01", lookback={"day": 10}, **BY_DAY)
    yesterday = day_number(NOW.date()) - 1
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        site.simulation.now = NOW + timedelta(days=12)
        site.simulation.restate("acme", IOS, dict.fromkeys(range(yesterday - 5, yesterday + 1), 7))
        first = site.night.run(site.simulation.now)
        assert first.exit_code == 0
        assert site.night.rows() == site.truth()
        site.simulation.now += timedelta(days=1)
        second = site.night.run(site.simulation.now)
        third = site.night.run(site.simulation.now)
    assert second.report["requests"] == 1
    assert third.report["requests"] == 0
    settled = site.night.query("SELECT max(last_date) FROM {coverage} WHERE settled")
    assert settled == [(date(2026, 11, 26),)]


def test_a_run_every_night_requests_no_more_than_the_lookback(tmp_path: Path) -> None:
    """Nights that are an hour earlier or later than a day apart settle everything that leaves the lookback."""
    site = Site(tmp_path, {"name": "acme", "timezone": "America/New_York"}, start="2026-11-01", scopes=["app"])
    with site.served():
        for night, hour in enumerate((0, 1, -1, 0, 1, 0)):
            site.simulation.now = NOW + timedelta(days=night, hours=hour)
            outcome = site.night.run(site.simulation.now)
            assert outcome.exit_code == 0
            # By day one window; by hour 336 and the new ones: four.
            assert night == 0 or outcome.report["requests"] <= 5
        late = site.night.query(
            "SELECT count(*) FROM {collection_log} WHERE reason = 'lookback' AND window_end < "
            f"TIMESTAMPTZ '{NOW - timedelta(days=16)}' AND requested_at > TIMESTAMPTZ '{NOW}'"
        )
    assert late == [(0,)]


def test_a_run_ahead_of_time_is_healed_by_the_next_night(tmp_path: Path) -> None:
    """Coverage of days to come, and answers from then, are not believed, and are dropped by the next landing."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-11-01", **BY_DAY)
    ahead = datetime.now(NOW.tzinfo) + timedelta(days=365)
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        site.simulation.now = ahead
        assert site.night.run(ahead).exit_code == 0
        assert max(covered_dates(site)) > NOW.date() + timedelta(days=300)
        site.simulation.now = NOW + timedelta(days=1)
        healed = site.night.run(site.simulation.now)
        assert healed.exit_code == 0
        assert healed.report["requests"] > 0
        truth = site.truth()
        assert truth <= site.night.rows()
        assert max(covered_dates(site)) == NOW.date()
        site.simulation.now += timedelta(days=1)
        assert site.night.run(site.simulation.now).report["requests"] == 1


def test_looking_back_requests_nothing_again(tmp_path: Path) -> None:
    """A past --as-of wants no more than its own closed days, and what later runs answered is no reason to ask again."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-11-01", **BY_DAY)
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        before = site.night.bytes()
        back = site.night.run(NOW - timedelta(days=7))
    assert (back.exit_code, back.report["requests"]) == (0, 0)
    assert site.night.bytes() == before


def test_a_lost_coverage_table_is_one_line(tmp_path: Path) -> None:
    """Whatever the number of files, and once a run."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-08-01", scopes=["app"])
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        (site.night.lake / "coverage/workspace=acme/data.parquet").unlink()
        outcome = site.night.run(NOW)
    lines = [line for line in outcome.stderr.splitlines() if "coverage" in line or "data.parquet" in line]
    assert len(lines) == 1
    assert "everything that the config wants is requested again" in lines[0]
    assert site.night.rows() == site.truth()


def test_lost_files_are_one_line_a_table(tmp_path: Path) -> None:
    """Three files of one table and one of another: two lines, which say how many."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-08-01", scopes=["app"])
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        for file in sorted(site.night.lake.glob("sessions_app_hourly/*/*/*"))[:3]:
            file.unlink()
        next(site.night.lake.glob("sessions_app_daily/*/*/*")).unlink()
        outcome = site.night.run(NOW)
    lines = [line for line in outcome.stderr.splitlines() if "missing" in line]
    assert len(lines) == 2
    assert any("3 files of sessions_app_hourly are missing" in line for line in lines)
    assert site.night.rows() == site.truth()


def test_the_newest_name_of_an_id_is_that_of_its_last_answer(tmp_path: Path) -> None:
    """App ios is renamed, and then retired, while the other app goes on: no view goes back to the old name."""
    apps: list[dict[str, Any]] = [{"name": "ios", "id": "id-ios"}, {"name": "web", "id": "id-web"}]
    site = Site(tmp_path, {"name": "acme", "apps": apps}, start="2026-11-01", units=["day"], scopes=["app"])
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        apps[0]["name"] = "iphone"
        site.night.write()
        site.simulation.now = NOW + timedelta(days=1)
        assert site.night.run(site.simulation.now).exit_code == 0
        apps[0]["end"] = NOW.date()
        site.night.write()
        for night in range(2, 7):
            site.simulation.now = NOW + timedelta(days=night)
            assert site.night.run(site.simulation.now).exit_code == 0
            names = site.night.query("SELECT DISTINCT app FROM {coverage} WHERE app_id = 'id-ios'")
            assert names == [("iphone",)]


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ("Europe/Kiev", "Europe/Kyiv", False),
        ("America/New_York", "America/Panama", True),  # they agree at both ends of a winter's year
        ("Asia/Tokyo", "Asia/Seoul", False),
    ],
)
def test_another_zone_is_refused_only_where_a_covered_midnight_differs(
    tmp_path: Path, before: str, after: str, refused: bool
) -> None:
    """Another name of the same zone is remembered; nothing is fetched again."""
    site = Site(tmp_path, {"name": "acme", "timezone": before}, start="2026-01-15", **BY_DAY)
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        site.night.document["workspaces"][0]["timezone"] = after
        site.night.write()
        outcome = site.night.run(NOW)
        assert outcome.exit_code == (2 if refused else 0)
        if refused:
            assert f"timezone: {before}" in outcome.stderr
        else:
            assert outcome.report["requests"] == 0
            assert after in (site.night.lake / "_collector/acme/workspace.json").read_text()


def test_the_coverage_knows_the_zone_of_a_lake_that_lost_its_metadata(tmp_path: Path) -> None:
    """`_collector/` is gone and the zone is another one: refused, as days of two zones would be in one table."""
    site = Site(tmp_path, {"name": "acme", "timezone": "America/New_York"}, start="2026-10-15", **BY_DAY)
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        (site.night.lake / "_collector/acme/workspace.json").unlink()
        site.night.document["workspaces"][0]["timezone"] = "Asia/Tokyo"
        site.night.write()
        assert site.night.run(NOW).exit_code == 2


def test_a_zone_may_be_corrected_before_anything_is_covered(tmp_path: Path) -> None:
    """A first night that failed with 401 has no day of any zone."""
    site = Site(tmp_path, {"name": "acme", "timezone": "America/New_York"}, start="2026-11-01", **BY_DAY)
    with site.served():
        assert site.night.run(NOW, environ={"KEY_ACME": "wrong"}).exit_code == 3
        site.night.document["workspaces"][0]["timezone"] = "Asia/Tokyo"
        site.night.write()
        assert site.night.run(NOW).exit_code == 0


def test_every_run_has_its_row(tmp_path: Path) -> None:
    """Runs that ended, that failed and that died, one of them before it could record the one before: each once."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-11-01", **BY_DAY)
    night, lock = site.night, site.night.lake / "_collector/acme/lock.json"
    store = LocalStore(night.lake, internal_folder("acme"))
    gone = replace(ProcessIdentity.current(), pid=2**22 + 1, start_time="long ago")
    with site.served():
        assert night.run(NOW).exit_code == 0
        for run in ("died-1", "died-2"):
            WorkspaceLock(store, "acme", SystemClock(), run, gone, NOW).acquire()
        assert lock.exists()
        assert night.run(NOW, environ={"KEY_ACME": "wrong"}).exit_code == 0, "nothing is left to request"
        later = NOW + timedelta(hours=7)
        assert night.run(later, environ={"KEY_ACME": "wrong"}).exit_code == 3
        rows = night.query("SELECT run_id, exit_code, windows_failed, rows_added, ended_at IS NULL FROM {runs}")
    assert [row[1:] for row in rows] == [
        (0, 0, 22, False),
        (None, None, None, True),
        (None, None, None, True),
        (0, 0, 0, False),
        (3, 1, 0, False),
    ]
    assert [row[0] for row in rows[1:3]] == ["died-1", "died-2"]


def test_repair_records_the_run_that_died(tmp_path: Path) -> None:
    """It takes over the lock that was left behind, so no later run learns of it."""
    site = Site(tmp_path, {"name": "acme"}, start="2026-11-01", **BY_DAY)
    store = LocalStore(site.night.lake, internal_folder("acme"))
    gone = replace(ProcessIdentity.current(), pid=2**22 + 1, start_time="long ago")
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    WorkspaceLock(store, "acme", SystemClock(), "died", gone, NOW).acquire()
    assert site.night.call("repair").exit_code == 0
    assert site.night.query("SELECT exit_code FROM {runs} WHERE run_id = 'died'") == [(None,)]
