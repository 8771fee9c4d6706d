from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

from collector.model import Scope
from collector.simulator.options import Options
from tests.stores.bucket_site import BucketSite
from tests.stores.proxy import PASS, through_proxy
from tests.support.builders import NOW
from tests.support.night import make_apps, make_segments

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.place import Place

ZONES = {"newyork": "America/New_York", "kolkata": "Asia/Kolkata"}


def test_a_lake_in_a_bucket_equals_the_truth_and_stays_as_it_is(tmp_path: Path, bucket: Place) -> None:
    """Every row is true; a second run requests and changes nothing but `runs`; later each change is restated once."""
    workspaces = [
        {"name": name, "timezone": zone, "apps": make_apps(3), "segments": make_segments(3)}
        for name, zone in ZONES.items()
    ]
    scopes = [str(scope) for scope in Scope]
    site = BucketSite(tmp_path, bucket, *workspaces, scopes=scopes, start="2026-10-20")
    with site.served():
        first = site.night.run(NOW)
        assert (first.exit_code, first.report["windows_failed"]) == (0, 0), first.stderr
        assert site.night.rows() == site.truth()

        before = site.night.fetch_but_runs()
        again = site.night.run(NOW)
        assert (again.exit_code, again.report["requests"], again.report["files_written"]) == (0, 0, 0)
        assert site.night.fetch_but_runs() == before

        site.simulation.now = NOW + timedelta(days=1)
        old = {row[:-1]: row[-1] for row in site.night.rows()}
        second = site.night.run(site.simulation.now)
        new = {row[:-1]: row[-1] for row in site.night.rows()}
    assert set(site.night.rows()) == site.truth()
    changed = {key for key in old if new[key] != old[key]}
    assert changed
    assert second.report["rows_restated"] == len(changed)
    assert second.report["rows_added"] == len(new) - len(old)
    key = "(workspace, scope, unit, app_id, segment_id, bucket_start)"
    restated = site.night.query(f"SELECT count(*), count(DISTINCT {key}) FROM {{restatements}}")
    assert restated == [(len(changed), len(changed))]


def test_a_night_fetches_each_data_file_once(tmp_path: Path, bucket: Place) -> None:
    """The night after a backfill fetches a data file that it changes once, and others not at all."""
    with through_proxy(bucket, lambda *_: PASS) as (place, proxy):
        site = BucketSite(tmp_path, place, {"name": "acme"}, lookback={"day": 3, "hour": 72}, start="2026-08-01")
        with site.served():
            assert site.night.run(NOW).exit_code == 0
            proxy.gets.clear()
            site.simulation.now = NOW + timedelta(days=1)
            second = site.night.run(site.simulation.now)
            paths = [unquote(path).partition("?")[0] for path in proxy.gets]
            fetched = Counter(path for path in paths if "/sessions_" in path)
    assert second.report["rows_added"] > 0
    changed = {path for path in fetched if "month=2026-11-01" in path}
    assert changed
    assert fetched == dict.fromkeys(changed, 1)


def test_a_run_leaves_nothing_but_the_lake(tmp_path: Path, bucket: Place) -> None:
    """After a run, the tables contain only Parquet files, and the collector's folder only the metadata."""
    site = BucketSite(tmp_path, bucket, {"name": "acme"}, units=["day"])
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    paths = set(site.night.fetch())
    internal = {path for path in paths if path.startswith("_collector/")}
    assert internal == {"_collector/acme/workspace.json"}
    assert all(path.endswith(".parquet") for path in paths - internal)


def test_of_two_runs_one_gets_the_workspace(tmp_path: Path, bucket: Place) -> None:
    """Of two programs started at once, one lands the truth; the other exits with 4 and names the owner of the lock."""
    site = BucketSite(
        tmp_path, bucket, {"name": "acme"}, options=Options(latency_ms=(3000, 3000)), units=["day"], start="2026-11-01"
    )
    with site.served(), site.run() as one, site.run() as other:
        codes = sorted([one.wait(), other.wait()])
    assert codes == [0, 4], one.stderr + other.stderr
    loser = one if one.wait() == 4 else other
    assert "another run" in loser.stderr
    assert site.night.rows() == site.truth()


def test_a_deleted_object_is_fetched_again(tmp_path: Path, bucket: Place) -> None:
    """A data file that was deleted from the bucket invalidates the coverage of its partition only."""
    site = BucketSite(tmp_path, bucket, {"name": "acme"}, units=["day"], start="2026-09-01")
    with site.served():
        site.night.run(NOW)
        bucket.store().delete("sessions_app_daily/workspace=acme/month=2026-10-01/data.parquet")
        again = site.night.run(NOW)
    assert (again.exit_code, again.report["rows_added"]) == (0, 31)
    assert site.night.rows() == site.truth()


def test_plan_reads_the_bucket_and_writes_nothing(tmp_path: Path, bucket: Place) -> None:
    """`plan` shows what is missing, from the coverage in the bucket, and writes nothing there."""
    site = BucketSite(tmp_path, bucket, {"name": "acme"}, units=["day"])
    planned = site.night.call("plan", "--json", "--as-of", NOW.isoformat())
    assert (planned.exit_code, planned.report["requests"]) == (0, 1)
    assert site.night.fetch() == {}
    with site.served():
        site.night.run(NOW)
        before = site.night.fetch()
        planned = site.night.call("plan", "--json", "--as-of", NOW.isoformat())
    assert (planned.exit_code, planned.report["requests"]) == (0, 0)
    assert site.night.fetch() == before
