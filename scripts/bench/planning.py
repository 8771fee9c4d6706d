"""10,000 series with three years of coverage, in a process of its own: `python -m scripts.bench.planning CONFIG`.

Writes that coverage into the config's lake, as years of nights leave it, and prints how long planning takes.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from collector.buckets import end_of_closed, span_of_dates
from collector.config.load import load
from collector.lake import coverage_table
from collector.lake.coverage_table import NO_COVERAGE, CoverageRules, as_coverage, with_answers
from collector.lake.stores import store_factory
from collector.lake.tables import INSTANT
from collector.plan import configured_series, plan
from scripts.bench.workload import AS_OF

if TYPE_CHECKING:
    from datetime import datetime

    from collector.config.settings import Workspace


def main() -> None:
    """Write, read, plan."""
    config = load(Path(sys.argv[1]), {}, secrets=False)
    workspace = config.workspaces[0]
    store = store_factory(config.lake, config.storage)(workspace.name)
    runs = NO_COVERAGE
    for days_ago, lookback in ((2, None), (1, 15)):
        as_of = AS_OF - timedelta(days=days_ago)
        rules = CoverageRules(workspace.refresh_after, workspace.settle, workspace.lookback, AS_OF)
        runs = with_answers(runs, answers(workspace, as_of, lookback), as_of, rules, workspace.timezone)
    recorded = coverage_table.CoverageState(runs)
    store.publish(coverage_table.stage(store, workspace.name, recorded, workspace.timezone))
    coverage = as_coverage(coverage_table.read(store, workspace.name).spans)
    started = time.perf_counter()
    windows = plan(workspace, coverage, AS_OF)
    print(json.dumps({"series": len(coverage), "windows": len(windows), "seconds": time.perf_counter() - started}))


def answers(workspace: Workspace, as_of: datetime, days: int | None) -> pa.Table:
    """What a night's journal would say: each series answered since its start, or for so many days."""
    rows = []
    for declared in configured_series(workspace):
        key, zone, settle = declared.series.key, workspace.timezone, workspace.settle
        since = span_of_dates(key.unit, declared.start, None, zone).first
        rows.append(
            {
                "metric": key.metric,
                "scope": key.scope.value,
                "unit": key.unit.value,
                "app": declared.series.app,
                "app_id": key.app_id,
                "segment": declared.series.segment,
                "segment_id": key.segment_id,
                "first": end_of_closed(key.unit, as_of - timedelta(days=days), settle, zone) if days else since,
                "stop": end_of_closed(key.unit, as_of, settle, zone),
            }
        )
    columns = [*NO_COVERAGE.drop_columns(["answered_at", "settled"]).schema, ("answered_date", INSTANT)]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


if __name__ == "__main__":
    main()
