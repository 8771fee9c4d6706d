"""All metrics of the catalogue, from the config to the lake."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.buckets import date_of, start_of
from collector.lake.tables import data_table
from collector.metrics import METRICS
from collector.model import Scope, Unit
from collector.plan import configured_series, wanted_span
from collector.simulator.options import Options
from tests.support.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.model import SeriesKey
    from tests.support.night import Row

ROOT = Path(__file__).resolve().parents[1]
EVENTS = ["checkout_completed", "level up"]
ALL: dict[str, Any] = {name: {} for name in METRICS} | {
    "dau": {"scopes": ["app", "workspace"]},
    "events": {"units": ["day", "hour"], "scopes": ["app", "app_segment"]},
}


def workspace(name: str, timezone: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "timezone": timezone,
        "start": "2026-11-10",
        "apps": [{"name": "ios", "id": f"{name}-ios"}, {"name": "web", "id": f"{name}-web"}],
        "segments": [{"name": "vip", "id": f"{name}-vip"}],
        "metrics": ALL,
        "events": EVENTS,
    } | more


def expected(site: Site) -> dict[str, set[Row]]:
    """What each table of the complete lake holds: workspace, ids in the order of the table, bucket, value."""
    tables: dict[str, set[Row]] = {}
    for each in site.night.settings().workspaces:
        for configured in configured_series(each):
            key = configured.series.key
            span = wanted_span(configured, each, (), site.simulation.now)
            rows = tables.setdefault(data_table(key.metric, key.scope, key.unit).name, set())
            for bucket, value in site.simulation.rows(each.name, key, span):
                at = date_of(bucket) if key.unit is Unit.DAY else start_of(Unit.HOUR, bucket, each.timezone)
                ids = [each_id for each_id in (key.event, key.app_id, key.segment_id) if each_id is not None]
                rows.add((each.name, *ids, at, value))
    return tables


def found(site: Site) -> dict[str, set[Row]]:
    """The same of the lake as it is, with DuckDB."""
    tables = {}
    for metric in METRICS.values():
        for folder in sorted(site.night.lake.glob(f"{metric.name}_*")):
            if folder.name.startswith(tuple(f"{metric.name}_{scope}_" for scope in Scope)):
                table = next(t for t in _tables() if t.name == folder.name)
                columns = ", ".join(["workspace", *table.ids, table.time_column, metric.name])
                tables[folder.name] = set(site.night.query(f"SELECT {columns} FROM {{{folder.name}}}"))
    return tables


def _tables() -> Iterator[Any]:
    return (
        data_table(each.name, scope, unit) for each in METRICS.values() for scope in each.scopes for unit in each.units
    )


def test_a_lake_of_all_metrics_is_the_truth(tmp_path: Path) -> None:
    """Two workspaces with all nine metrics: each table is the truth; again: no request; restated once."""
    site = Site(tmp_path, workspace("acme", "America/New_York"), workspace("tokyo", "Asia/Tokyo"))
    with site.served():
        night = site.night
        now = site.simulation.now
        assert night.run(now).exit_code == 0
        assert set(expected(site)) == set(found(site))
        assert found(site) == expected(site)
        before, requests = night.bytes(), site.simulation.request_log.requests
        assert night.run(now).report["requests"] == 0
        assert (night.bytes(), site.simulation.request_log.requests) == (before, requests)

        keys = {
            key.metric: key
            for key in map(_key, configured_series(night.settings().workspaces[0]))
            if key.unit is Unit.DAY
        }
        day = wanted_span(
            next(configured_series(night.settings().workspaces[0])), night.settings().workspaces[0], (), now
        )
        assert set(keys) == set(METRICS)
        for key in keys.values():
            site.simulation.restate("acme", key, {day.stop - 2: 12345.25 if key.metric == "revenue" else 12345})
        again = night.run(now, "--from", "2026-11-15")
        assert (again.exit_code, again.report["rows_restated"]) == (0, len(METRICS))
        assert night.run(now, "--from", "2026-11-15").report["rows_restated"] == 0
        assert found(site) == expected(site)
        recorded = night.query("SELECT metric, event, new_value FROM {restatements}")
        assert sorted(str(row[0]) for row in recorded) == sorted(METRICS)
        assert {row[2] for row in recorded if row[0] == "revenue"} == {12345.25}
        assert {row[1] for row in recorded if row[0] == "events"} <= set(EVENTS)


def _key(configured: Any) -> SeriesKey:
    key: SeriesKey = configured.series.key
    return key


def test_a_metric_without_permission_stops_alone(tmp_path: Path) -> None:
    """A 403 names metric and permission, and stops that metric of that workspace; everything else is collected."""
    two = [workspace(name, "UTC", metrics=["sessions", "dau", "mau"], units=["day"]) for name in ("acme", "globex")]
    site = Site(tmp_path, *two, options=Options(denied=frozenset({"acme/dau"})), concurrency=1)
    with site.served():
        done = site.night.run(site.simulation.now)
        asked = [each for each in site.simulation.request_log.entries if each.outcome == "403"]
        complete = expected(site)
        complete["dau_app_daily"] = {row for row in complete["dau_app_daily"] if row[0] == "globex"}
        assert found(site) == complete
    assert (done.exit_code, len(asked)) == (3, 1)
    (failure,) = done.report["failures"]
    assert (failure["workspace"], failure["metric"], failure["event"], failure["http_status"]) == (
        "acme",
        "dau",
        None,
        403,
    )
    assert "kpi.dau.data_series" in failure["error"]
    assert "make a new key" in failure["error"]
    assert done.report["windows_skipped"] == 1


def test_a_used_up_quota_holds_up_no_other(tmp_path: Path) -> None:
    """With nine purchase requests an hour, sessions land completely, some purchases land, and there is no 429."""
    apps = [{"name": f"app{number}", "id": f"id-{number}"} for number in range(12)]
    acme = workspace("acme", "UTC", metrics=["purchases", "sessions"], units=["day"], apps=apps)
    site = Site(tmp_path, acme, options=Options(own_pool=9))
    with site.served():
        done = site.night.run(site.simulation.now, "--deadline", "2s")
        assert found(site)["sessions_app_daily"] == expected(site)["sessions_app_daily"]
        assert found(site)["purchases_app_daily"] < expected(site)["purchases_app_daily"]
        assert site.simulation.request_log.by_outcome["429"] == 0
    answered = site.night.query("SELECT count(*) FROM {collection_log} WHERE metric = 'purchases' AND status = 'ok'")
    assert 5 <= int(str(answered[0][0])) <= 9
    assert done.exit_code == 3


def test_a_run_can_be_narrowed_to_metrics_and_segments(tmp_path: Path) -> None:
    """--metric and --segment narrow run and plan; an unknown name is a usage error with the nearest known one."""
    site = Site(tmp_path, workspace("acme", "UTC", units=["day"]))
    night, now = site.night, site.simulation.now.isoformat()
    with site.served():
        planned = night.call("plan", "--json", "--as-of", now, "--metric", "revenue", "--metric", "dau").report
        (acme,) = planned["workspaces"]
        assert [(each["name"], each["requests"]) for each in acme["quotas"]] == [("shared", 3), ("purchases", 2)]
        assert acme["quotas"][1]["share"] == 2 / 1000
        narrowed = night.call("plan", "--json", "--as-of", now, "--segment", "vip", "--metric", "segment_size").report
        assert narrowed["requests"] == 1
        assert night.run(site.simulation.now, "--metric", "dau").exit_code == 0
        assert set(found(site)) == {"dau_app_daily", "dau_workspace_daily"}
    refused = night.call("plan", "--metric", "dua")
    assert (refused.exit_code, "did you mean dau?" in refused.stderr) == (2, True)


def test_a_night_lists_no_table_that_nobody_wants(tmp_path: Path) -> None:
    """A file in a table that neither config nor coverage names is not looked at; one that the config wants is."""
    site = Site(tmp_path, workspace("acme", "UTC", metrics=["sessions"], units=["day"]))
    with site.served():
        foreign = site.night.lake / "dau_app_daily/workspace=acme/month=2026-11-01/data.parquet"
        foreign.parent.mkdir(parents=True)
        foreign.write_bytes(b"not parquet")
        assert site.night.run(site.simulation.now).exit_code == 0
        site.night.document["workspaces"][0]["metrics"] = ["sessions", "dau"]
        site.night.write()
        assert site.night.run(site.simulation.now).exit_code == 5


def test_a_metric_that_is_wanted_no_longer_keeps_its_rows(tmp_path: Path) -> None:
    """A metric that leaves the config keeps rows and coverage; when it comes back, nothing is requested twice."""
    site = Site(tmp_path, workspace("acme", "UTC", metrics=["sessions", "dau"], units=["day"]))
    with site.served():
        acme = site.night.document["workspaces"][0]
        assert site.night.run(site.simulation.now).exit_code == 0
        complete = found(site)
        for metrics in (["sessions"], ["dau", "sessions"]):
            acme["metrics"] = metrics
            site.night.write()
            assert site.night.run(site.simulation.now).report["requests"] == 0
            assert found(site) == complete


def test_nothing_but_catalogue_truth_and_docs_names_a_metric() -> None:
    """No module of the package has a metric's name, path or field as a text, but for the catalogue and the truth."""
    names = {text for metric in METRICS.values() for text in (metric.name, metric.path, metric.field)} - {
        "count",
        "size",
    }
    # `ddl` registers the tables in a database of that name.
    allowed = {"collector/metrics.py", "collector/simulator/traffic.py", "collector/cli/query.py"}
    for path in sorted((ROOT / "collector").rglob("*.py")):
        if str(path.relative_to(ROOT)) in allowed:
            continue
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        assert {text for text in texts if isinstance(text, str)} & names - {"events"} == set(), path
