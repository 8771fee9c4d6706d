"""The collection log: one row a window of a landing, and one a series for what was planned and not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.lake import instants
from collector.lake.parquet import stage_table
from collector.lake.schema import LOG, SERIES

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from collector.lake.journal import Journal
    from collector.lake.store import Staged, Store


def stage(store: Store, content: Journal, zone: ZoneInfo) -> Staged:
    """Stage the log file of a journal."""
    answers = content.windows
    columns = {name: answers[name] for name in answers.column_names}
    columns |= {name: answers[name].cast(pa.string()) for name in SERIES}
    columns["run_id"] = pa.repeat(content.origin.run_id, answers.num_rows)
    columns["window_start"] = instants.starts(answers["unit"], answers["first"], zone)
    columns["window_end"] = instants.starts(answers["unit"], answers["stop"], zone)
    columns["expected_points"] = pc.subtract(answers["stop"], answers["first"])
    return stage_table(store, pa.table({name: columns[name] for name in LOG.names}).cast(LOG), (), {})
