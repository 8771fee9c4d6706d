"""10,000 series with three years of coverage, in a process of its own: `python -m scripts.bench.planning CONFIG`.

Writes that coverage into the config's lake, as years of nights leave it, and prints how long planning takes.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

from collector.calendar import closed_stop, span_of_dates
from collector.config.load import load
from collector.coverage import Covered
from collector.lake import coverage_table
from collector.lake.stores import opener
from collector.model import Span
from collector.plan import declared_series, plan
from scripts.bench.workload import AS_OF


def main() -> None:
    """Write, read, plan."""
    config = load(Path(sys.argv[1]), {}, secrets=False)
    workspace = config.workspaces[0]
    store = opener(config.lake, config.storage)(workspace.name)
    coverage, names = {}, {}
    for declared in declared_series(workspace):
        key = declared.series.key
        first = span_of_dates(key.unit, workspace.start, None, workspace.timezone).first
        yesterday = AS_OF - timedelta(days=1)
        middle = closed_stop(key.unit, AS_OF - timedelta(days=15), workspace.settle, workspace.timezone)
        stop = closed_stop(key.unit, yesterday, workspace.settle, workspace.timezone)
        old, new = Span(first, middle), Span(middle, stop)
        coverage[key] = (Covered(old, yesterday - timedelta(days=1)), Covered(new, yesterday))
        names[key] = declared.series
    recorded = coverage_table.Recorded(coverage, names)
    for replacement in coverage_table.stage(store, workspace.name, recorded, workspace.timezone):
        store.publish(replacement)
    began = time.perf_counter()
    windows = plan(workspace, coverage, AS_OF)
    print(json.dumps({"series": len(coverage), "windows": len(windows), "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
