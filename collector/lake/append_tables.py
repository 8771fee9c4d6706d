"""The restatements table: each landed bucket that came back with another count, told exactly once.

Rows are filed under the month of collected_at (UTC). A run reports a bucket once, so (series, bucket, run) is the key:
landing the same journal twice adds nothing.

The collection log: one row a window of a landing, and one a series for what was planned and not sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.lake import merge, paths
from collector.lake.parquet import LakeParquetFile, stage_table
from collector.lake.schema import ID_COLUMNS, IDS, LOG, RESTATEMENTS, SERIES
from collector.lake.store import NO_FILE, Replacement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from collector.lake.journal import Journal
    from collector.lake.paths import Partition
    from collector.lake.store import Staged, Store


_KEY = ["scope", "unit", "app_id", "segment_id", "bucket_start", "run_id"]
_ORDER = ["scope", "unit", "app_id", "segment_id", "bucket_start", "collected_at"]


def restatement_rows(partition: Partition, restated: pa.Table, zone: ZoneInfo) -> pa.Table:
    """The table's rows for what a merge restated in a partition (`merge.Merged.restated`)."""
    count = restated.num_rows
    units = pa.chunked_array([pa.repeat(partition.unit.value, count)])
    columns: dict[str, object] = {
        "scope": pa.repeat(partition.scope.value, count),
        "unit": units,
        "bucket_start": merge.bucket_starts(units, restated["bucket"], zone),
        "date": merge.bucket_dates(units, restated["bucket"]),
        "new_sessions": restated["sessions"],
    }
    for name in IDS:
        columns[name] = restated[name] if name in restated.column_names else pa.nulls(count, pa.string())
    for name in ("old_sessions", "revision", "previous_collected_at", "collected_at", "run_id"):
        columns[name] = restated[name]
    return pa.table({name: columns[name] for name in RESTATEMENTS.names}).cast(RESTATEMENTS)


def stage_restatements(
    store: Store, workspace: str, restated: Sequence[pa.Table], as_of: datetime
) -> list[Replacement]:
    """Stage the month's partition with the rows that it does not tell yet; empty where it tells them all."""
    told = pa.concat_tables([RESTATEMENTS.empty_table(), *restated])
    if not told.num_rows:
        return []
    path = paths.restatements(workspace, as_of.date().replace(day=1))
    existing, version = RESTATEMENTS.empty_table(), NO_FILE
    entry = LakeParquetFile.open(store, path)
    if entry is not None:
        with entry:
            existing, version = entry.table(RESTATEMENTS), entry.version
    new = told.filter(pc.invert(pc.is_in(_identity(told), value_set=_identity(existing))))
    if not new.num_rows:
        return []
    every = pa.concat_tables([existing, new])
    keys = every.select(_ORDER)
    for place, name in enumerate(ID_COLUMNS, _ORDER.index(ID_COLUMNS[0])):
        keys = keys.set_column(place, name, pc.fill_null(keys[name], ""))  # ids are never empty, so none sorts first
    every = every.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in _ORDER]))
    return [Replacement(path, stage_table(store, every, _ORDER, {}), version)]


def _identity(table: pa.Table) -> pa.Array:
    texts = [pc.fill_null(table[name].cast(pa.string()), "") for name in _KEY]
    return pc.binary_join_element_wise(*texts, "\x1f").combine_chunks()


def stage_log(store: Store, content: Journal, zone: ZoneInfo) -> Staged:
    """Stage the log file of a journal."""
    answers = content.windows
    columns = {name: answers[name] for name in answers.column_names}
    columns |= {name: answers[name].cast(pa.string()) for name in SERIES}
    columns["run_id"] = pa.repeat(content.origin.run_id, answers.num_rows)
    columns["window_start"] = merge.bucket_starts(answers["unit"], answers["first"], zone)
    columns["window_end"] = merge.bucket_starts(answers["unit"], answers["stop"], zone)
    columns["expected_points"] = pc.subtract(answers["stop"], answers["first"])
    return stage_table(store, pa.table({name: columns[name] for name in LOG.names}).cast(LOG), (), {})
