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

from collector.calendar import closed_stop, span_of_dates
from collector.config.load import load
from collector.coverage import Covered
from collector.lake import coverage_table
from collector.lake.stores import opener
from collector.model import Span
from collector.plan import declared_series, plan
from scripts.bench.workload import AS_OF

if TYPE_CHECKING:
    from collector.config.settings import Workspace
    from collector.coverage import Runs
    from collector.model import Unit


def main() -> None:
    """Write, read, plan."""
    config = load(Path(sys.argv[1]), {}, secrets=False)
    workspace = config.workspaces[0]
    store = opener(config.lake, config.storage)(workspace.name)
    names = {declared.series.key: declared.series for declared in declared_series(workspace)}
    coverage = {key: years_of_nights(workspace, key.unit) for key in names}
    recorded = coverage_table.Recorded(coverage, names)
    for replacement in coverage_table.stage(store, workspace.name, recorded, workspace.timezone):
        store.publish(replacement)
    began = time.perf_counter()
    windows = plan(workspace, coverage, AS_OF)
    print(json.dumps({"series": len(coverage), "windows": len(windows), "seconds": time.perf_counter() - began}))


def years_of_nights(workspace: Workspace, unit: Unit) -> Runs:
    """What was answered until the lookback began to pass over it, and what last night asked for again."""
    zone, settle, yesterday = workspace.timezone, workspace.settle, AS_OF - timedelta(days=1)
    first = span_of_dates(unit, workspace.start, None, zone).first
    middle = closed_stop(unit, AS_OF - timedelta(days=15), settle, zone)
    stop = closed_stop(unit, yesterday, settle, zone)
    before = yesterday - timedelta(days=1)
    return Covered(Span(first, middle), before), Covered(Span(middle, stop), yesterday)


if __name__ == "__main__":
    main()
