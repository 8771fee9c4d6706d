"""The tables that landings only add rows to: restatements and the collection log.

In: what a merge restated, and the windows of a journal. Out: staged files. Adding the same journal a second time adds
no row: a restatement has a key, and a log file has its landing's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.lake import paths
from collector.lake.merge import bucket_dates, bucket_starts
from collector.lake.parquet import LakeParquetFile, stage_table
from collector.lake.store import NO_FILE, Replacement
from collector.lake.tables import ID_COLUMNS, IDS, LOG, RESTATEMENTS, SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from collector.lake.journal import Journal
    from collector.lake.paths import Partition
    from collector.lake.store import Staged, Store

# A run reports a bucket at most once, so these are the key of a restatement.
_RESTATEMENT_KEY = ["scope", "unit", "app_id", "segment_id", "bucket_start", "run_id"]
_RESTATEMENT_ORDER = ["scope", "unit", "app_id", "segment_id", "bucket_start", "collected_at"]


def restatement_rows(partition: Partition, restated: pa.Table, zone: ZoneInfo) -> pa.Table:
    """What a merge restated in a partition (`merge.Merged.restated`), as rows of the restatements table."""
    count = restated.num_rows
    units = pa.chunked_array([pa.repeat(partition.unit.value, count)])
    columns: dict[str, object] = {
        "scope": pa.repeat(partition.scope.value, count),
        "unit": units,
        "bucket_start": bucket_starts(units, restated["bucket"], zone),
        "date": bucket_dates(units, restated["bucket"]),
        "new_sessions": restated["sessions"],
    }
    for name in IDS:
        columns[name] = restated[name] if name in restated.column_names else pa.nulls(count, pa.string())
    for name in ("old_sessions", "revision", "previous_collected_at", "collected_at", "run_id"):
        columns[name] = restated[name]
    schema = RESTATEMENTS.schema
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def stage_restatements(
    store: Store, workspace: str, restated: Sequence[pa.Table], as_of: datetime
) -> list[Replacement]:
    """Stage the partition of as_of's month (UTC) with the rows that it lacks; empty where it has them all."""
    schema = RESTATEMENTS.schema
    rows = pa.concat_tables([schema.empty_table(), *restated])
    if not rows.num_rows:
        return []
    # `as_of` comes from the journal: a landing that is repeated, even in another month, finds the same file.
    path = paths.restatements(workspace, as_of.date().replace(day=1))
    existing, version = schema.empty_table(), NO_FILE
    file = LakeParquetFile.open(store, path)
    if file is not None:
        with file:
            existing, version = file.table(schema), file.version
    # A landing that is repeated computes the same rows again: the keys of those that were published are in the table.
    new = rows.filter(pc.invert(pc.is_in(_restatement_keys(rows), value_set=_restatement_keys(existing))))
    if not new.num_rows:
        return []
    combined = _sorted_restatements(pa.concat_tables([existing, new]))
    return [Replacement(path, stage_table(store, combined, _RESTATEMENT_ORDER, {}), version)]


def stage_log(store: Store, journal: Journal, zone: ZoneInfo) -> Staged:
    """Stage the log of a landing: one row for each window of its journal."""
    windows = journal.windows
    columns = {name: windows[name] for name in windows.column_names}
    columns |= {name: windows[name].cast(pa.string()) for name in SERIES}
    columns["run_id"] = pa.repeat(journal.landing_id.run_id, windows.num_rows)
    columns["window_start"] = bucket_starts(windows["unit"], windows["first"], zone)
    columns["window_end"] = bucket_starts(windows["unit"], windows["stop"], zone)
    columns["expected_points"] = pc.subtract(windows["stop"], windows["first"])
    schema = LOG.schema
    return stage_table(store, pa.table({name: columns[name] for name in schema.names}).cast(schema), (), {})


def _restatement_keys(rows: pa.Table) -> pa.Array:
    """One text for each row, equal where the keys are. The separator does not occur in ids, which are printable."""
    # Null and the empty text may share a key, since ids are never empty.
    texts = [pc.fill_null(rows[name].cast(pa.string()), "") for name in _RESTATEMENT_KEY]
    return pc.binary_join_element_wise(*texts, "\x1f").combine_chunks()


def _sorted_restatements(rows: pa.Table) -> pa.Table:
    """The rows in the table's order, with null ids first: ids are never empty, so an empty text sorts before them."""
    keys = rows.select(_RESTATEMENT_ORDER)
    for name in ID_COLUMNS:
        keys = keys.set_column(keys.column_names.index(name), name, pc.fill_null(keys[name], ""))
    return rows.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in _RESTATEMENT_ORDER]))
