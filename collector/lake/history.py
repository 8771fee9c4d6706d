"""What the tables say of a workspace's runs: the last one, the last success, and what failed in the last one.

In: the tables `runs` and `collection_log`, and the lock. Out: values. Nothing is written, and no lock is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from collector.lake import paths
from collector.lake.lease import read_lock
from collector.lake.parquet import LakeParquetFile
from collector.lake.tables import LOG, RUNS, SERIES_KEY
from collector.model import Scope, SeriesKey, Unit
from collector.status import History, LastRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from collector.lake.store import Store
    from collector.lake.tables import Table

_RUN = ["run_id", "as_of", "started_at", "ended_at", "exit_code"]


def read_history(store: Store, workspace: str, now: datetime) -> History:
    """What the lake says of the workspace's runs. Raises LakeError."""
    last: LastRun | None = None
    success: datetime | None = None
    # Newest month first: the older ones are opened only until a success is found.
    for rows in _months(store, RUNS, workspace, _RUN):
        runs = [LastRun(**row) for row in rows]
        last = last or max(runs, key=lambda run: run.started_at, default=None)
        success = max((run.ended_at for run in runs if run.exit_code == 0 and run.ended_at is not None), default=None)
        if success is not None:
            break
    failures = _failures(store, workspace, last) if last is not None else {}
    return History(last, success, failures, read_lock(store, workspace, now))


def _failures(store: Store, workspace: str, last: LastRun) -> dict[SeriesKey, str]:
    """The error of each series whose newest window was not answered in that run."""
    path = paths.monthly_file(LOG.name, workspace, last.started_at.date())
    file = LakeParquetFile.open(store, path)
    if file is None:
        return {}
    found: dict[SeriesKey, str] = {}
    with file:
        columns = ["run_id", *SERIES_KEY, "window_end", "status", "error"]
        rows = file.table(LOG.schema, (), columns)
    rows = rows.filter(pc.and_(pc.equal(rows["run_id"], last.run_id), pc.not_equal(rows["status"], "ok")))
    for row in rows.to_pylist():
        key = SeriesKey(row["metric"], Scope(row["scope"]), Unit(row["unit"]), *(row[name] for name in SERIES_KEY[3:]))
        found.setdefault(key, row["error"] or row["status"])
    return found


def _months(store: Store, table: Table, workspace: str, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
    """The rows of each month's file, newest month first."""
    for path in sorted(store.list(f"{table.name}/workspace={workspace}"), reverse=True):
        file = LakeParquetFile.open(store, path) if path.endswith("/data.parquet") else None
        if file is not None:
            with file:
                rows = file.table(table.schema, (), columns)
            yield rows.to_pylist()
