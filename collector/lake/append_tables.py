"""The tables that only grow: restatements, the collection log, and the runs. One file a month; new rows go behind.

In: rows, and the id of the landing (or run) that they come from. Out: a staged file with the old rows and the new ones.
The month's file is copied row group by row group, so memory and time do not depend on what the rows are; only the last
row group is joined with the new rows while it is small. Nothing is sorted.

Each landing's rows are added exactly once: the footer names the last landing that added rows. Landings of a workspace
follow one another under its lock, and one that was interrupted is repeated before the next begins, so a landing that is
repeated finds its own name there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.lake import paths
from collector.lake.merge import bucket_dates, bucket_starts
from collector.lake.parquet import ROWS_IN_GROUP, LakeParquetFile, conform, stage_parquet
from collector.lake.store import NO_FILE, Replacement
from collector.lake.tables import IDS, LOG, RESTATEMENTS, RUNS, SERIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from collector.lake.journal import Journal
    from collector.lake.lease import LockOwner
    from collector.lake.paths import Partition
    from collector.lake.store import Store
    from collector.lake.tables import Table

LAST_LANDING = "collector.last_landing"
"""The footer key of the landing that added the last rows."""

SMALL_GROUP = ROWS_IN_GROUP // 2
"""Rows. A last row group with fewer is joined with the rows that follow."""


def last_landing(store: Store, path: str) -> str:
    """The landing that added rows to the file last; empty where there is no file."""
    file = LakeParquetFile.open_footer(store, path)
    if file is None:
        return ""
    with file:
        return file.footer_metadata().get(LAST_LANDING, "")


def append(store: Store, table: Table, path: str, parts: Sequence[pa.Table], landing: str) -> Replacement | None:
    """Stage the month's file with the rows of a landing, in several parts, behind those that it has.

    None where the landing has added its rows already, or there are none. Raises LakeError.
    """
    if not parts:
        return None
    rows = pa.concat_tables(parts).unify_dictionaries()
    file = LakeParquetFile.open(store, path)
    if file is None:
        return _stage(store, table, path, rows, landing)
    with file:
        if file.footer_metadata().get(LAST_LANDING) == landing:
            return None
        return _stage(store, table, path, rows, landing, file)


def restatement_rows(partition: Partition, restated: pa.Table, zone: ZoneInfo) -> pa.Table:
    """What a merge restated in a partition (`merge.Merged.restated`), as rows of the restatements table."""
    count = restated.num_rows
    units = pa.chunked_array([pa.repeat(partition.unit.value, count)])
    columns: dict[str, object] = {
        "metric": pa.repeat(partition.metric, count),
        "scope": pa.repeat(partition.scope.value, count),
        "unit": units,
        "bucket_start": bucket_starts(units, restated["bucket"], zone),
        "date": bucket_dates(units, restated["bucket"]),
        "new_value": restated["value"],
    }
    for name in IDS:
        columns[name] = restated[name] if name in restated.column_names else pa.nulls(count, pa.string())
    for name in ("old_value", "revision", "previous_collected_at", "collected_at", "run_id"):
        columns[name] = restated[name]
    return _rows_of(RESTATEMENTS, columns)


def log_rows(journal: Journal, zone: ZoneInfo) -> pa.Table:
    """The log of a landing: one row for each window of its journal."""
    windows = journal.windows
    columns: dict[str, object] = {name: windows[name] for name in windows.column_names}
    columns |= {name: windows[name] for name in SERIES}
    columns["run_id"] = pa.repeat(journal.landing_id.run_id, windows.num_rows)
    columns["window_start"] = bucket_starts(windows["unit"], windows["first"], zone)
    columns["window_end"] = bucket_starts(windows["unit"], windows["stop"], zone)
    columns["expected_points"] = pc.subtract(windows["stop"], windows["first"])
    return _rows_of(LOG, columns)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A row of the table `runs`. What a run that died cannot say is None. Counts are those of one workspace."""

    run_id: str
    as_of: datetime
    started_at: datetime
    version: str | None
    ended_at: datetime | None = None
    exit_code: int | None = None
    windows_planned: int | None = None
    windows_ok: int | None = None
    windows_failed: int | None = None
    windows_skipped: int | None = None
    attempts: int | None = None
    rows_added: int | None = None
    rows_restated: int | None = None
    rows_unchanged: int | None = None


def record_run(store: Store, workspace: str, run: RunRecord) -> None:
    """Add a run's row to the month in which it began, unless the run has one. Raises LakeError."""
    path = paths.monthly_file(RUNS.name, workspace, run.started_at.date())
    columns = [pa.array([getattr(run, field.name)], field.type) for field in RUNS.schema]
    row = pa.table(columns, schema=RUNS.schema)
    file = LakeParquetFile.open(store, path)
    if file is None:
        store.publish(_stage(store, RUNS, path, row, run.run_id))
        return
    with file:
        if run.run_id in file.table(RUNS.schema, (), ["run_id"])["run_id"].to_pylist():
            return
        replacement = _stage(store, RUNS, path, row, run.run_id, file)
    store.publish(replacement)


def _stage(
    store: Store, table: Table, path: str, rows: pa.Table, landing: str, file: LakeParquetFile | None = None
) -> Replacement:
    """Stage the month's file (None: there is none) with the new rows behind its own."""
    groups = iter(()) if file is None else file.row_groups(table.schema, table.texts)
    with stage_parquet(store, table.schema_in_memory, (), {LAST_LANDING: landing}) as staging:
        for group in _with_new_rows(groups, conform(rows, table.schema_in_memory)):
            staging.write(group)
    return Replacement(path, staging.staged, NO_FILE if file is None else file.version, rows=staging.rows)


def record_died(store: Store, workspace: str, left_behind: LockOwner) -> None:
    """Add the rows of the run that left the lock behind, and of those before it that have none."""
    for run in left_behind.all_died:
        if run.as_of is not None:  # a repair is no run
            record_run(store, workspace, RunRecord(run.run_id, run.as_of, run.started, run.version))


def _rows_of(table: Table, columns: dict[str, object]) -> pa.Table:
    return conform(pa.table({name: columns[name] for name in table.schema.names}), table.schema_in_memory)


def _with_new_rows(groups: Iterator[pa.Table], rows: pa.Table) -> Iterator[pa.Table]:
    """The row groups, and then the new rows, joined with the last row group where that is small."""
    # One row group is held back, since only the last one may be joined with what follows. One that is small and has
    # others behind it is joined with them as well, so that a file never has many small ones.
    held: pa.Table | None = None
    for group in groups:
        if held is not None and held.num_rows < SMALL_GROUP:
            held = _joined(held, group)
            continue
        if held is not None:
            yield held
        held = group
    if held is not None and held.num_rows >= SMALL_GROUP:
        yield held
        held = None
    yield rows if held is None else _joined(held, rows)


def _joined(rows: pa.Table, following: pa.Table) -> pa.Table:
    return pa.concat_tables([conform(rows, following.schema), following]).unify_dictionaries()
