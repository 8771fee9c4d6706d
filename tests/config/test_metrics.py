from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collector.config.settings import MetricChoice
from collector.metrics import METRICS
from collector.model import Scope, Unit
from tests.config.builder import config_of, make_config_text, make_workspace, mistakes_of

if TYPE_CHECKING:
    from pathlib import Path


def wanted(folder: Path, **workspace: Any) -> list[tuple[str, Scope, Unit]]:
    config = config_of(folder, make_config_text(make_workspace(**workspace)))
    return [(metric.name, scope, unit) for metric, scope, unit in config.workspaces[0].wanted_tables()]


def test_sessions_alone_by_default(tmp_path: Path) -> None:
    """Without the key, sessions are collected in the wanted units and scopes."""
    found = wanted(tmp_path)
    assert {name for name, _, _ in found} == {"sessions"}
    assert len(found) == 4


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_each_metric_is_collected_in_what_it_offers(tmp_path: Path, metric: Any) -> None:
    """Each metric of the catalogue can be named alone; the costly ones are collected by day and without a segment."""
    found = wanted(tmp_path, metrics=[metric.name], events=["a b"], scopes=[each.value for each in Scope])
    assert {name for name, _, _ in found} == {metric.name}
    assert {scope for _, scope, _ in found} == {
        each for each in metric.scopes if not (metric.costly and each.has_segment)
    }
    assert {unit for _, _, unit in found} == ({Unit.DAY} if metric.costly else set(metric.units))


def test_a_metric_may_have_units_and_scopes_of_its_own(tmp_path: Path) -> None:
    """The mapping form widens a costly metric, and keeps the order of the config; a list replaces all."""
    own = {"events": {"units": ["hour", "day"], "scopes": ["app_segment"]}, "sessions": None, "segment_size": {}}
    found = wanted(tmp_path, metrics=own, events=["e"], units=["day"], scopes=["app"])
    assert found == [
        ("events", Scope.APP_SEGMENT, Unit.DAY),
        ("events", Scope.APP_SEGMENT, Unit.HOUR),
        ("sessions", Scope.APP, Unit.DAY),
        ("segment_size", Scope.WORKSPACE_SEGMENT, Unit.DAY),
    ]
    assert wanted(tmp_path, metrics=["revenue"], scopes=["workspace_segment"]) == [("revenue", Scope.APP, Unit.DAY)]
    text = make_config_text(make_workspace(metrics=["dau"]), defaults={"metrics": own, "events": ["e"]})
    assert config_of(tmp_path, text).workspaces[0].metrics == (MetricChoice("dau"),)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"metrics": "sessions"}, "metrics: must be a list of metrics, or a mapping"),
        ({"metrics": []}, "metrics: an empty list is not allowed here"),
        ({"metrics": {}}, "metrics: an empty mapping is not allowed here"),
        ({"metrics": ["session"]}, "metrics[0]: unknown metric 'session': write sessions"),
        ({"metrics": ["dau", "dau"]}, "metrics[1]: 'dau' is twice in this list"),
        ({"metrics": [1]}, "metrics[0]: must be the name of a metric"),
        ({"metrics": {"daus": {}}}, "metrics.daus: unknown metric 'daus': write dau"),
        ({"metrics": {"dau": ["day"]}}, "metrics.dau: must be a mapping"),
        ({"metrics": {"dau": {"unit": ["day"]}}}, "metrics.dau.unit: unknown key: write units"),
        ({"metrics": {"dau": {"units": "day"}}}, "metrics.dau.units: must be a list"),
        ({"metrics": {"dau": {"units": []}}}, "metrics.dau.units: an empty list"),
        ({"metrics": {"dau": {"units": ["hour"]}}}, "metrics.dau.units[0]: is 'hour', which is not offered for dau"),
        ({"metrics": {"revenue": {"scopes": ["app_segment"]}}}, "metrics.revenue.scopes[0]: is 'app_segment', which"),
        (
            {"metrics": ["dau"], "units": ["hour"]},
            "metrics[0]: dau is offered for units day alone, and [hour] is wanted",
        ),
        (
            {"metrics": ["mau"], "scopes": ["app_segment"]},
            "metrics[0]: mau is offered for scopes app and workspace alone",
        ),
        ({"metrics": ["events"]}, "metrics[0]: events needs the names of custom events"),
        ({"metrics": ["segment_size"], "segments": []}, "metrics[0]: segment_size needs segments"),
        ({"events": []}, "events: an empty list is not allowed here"),
        ({"events": ["a", "a"]}, "events[1]: 'a' is twice in this list"),
    ],
)
def test_a_mistake_about_metrics_is_one_line(tmp_path: Path, keys: dict[str, Any], expected: str) -> None:
    """Each mistake is one line, at its place, with what to write instead."""
    (found,) = mistakes_of(tmp_path, make_config_text(make_workspace(**keys)))
    assert f"workspaces[0].{expected}" in found
