"""The columns of every table, in order and with their types (CONTRACT section 4). Partition columns come from paths."""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from collector.model import Scope, Unit

VERSION = 1
"""Of the lake's layout. A lake of a newer version is refused by an older program."""

INSTANT = pa.timestamp("us", tz="UTC")
ID_COLUMNS = ("app_id", "segment_id")
IDS = ("app", "app_id", "segment", "segment_id")
SERIES = ("scope", "unit", *IDS)
_SERIES_FIELDS = [(name, pa.string()) for name in SERIES]


@cache
def sessions(scope: Scope, unit: Unit) -> pa.Schema:
    """A data table: sessions_<scope>_<daily|hourly>."""
    fields: list[tuple[str, pa.DataType]] = []
    if scope.has_app:
        fields += [("app", pa.string()), ("app_id", pa.string())]
    if scope.has_segment:
        fields += [("segment", pa.string()), ("segment_id", pa.string())]
    fields += [("date", pa.date32())] if unit is Unit.DAY else [("hour", INSTANT)]
    fields += [
        ("sessions", pa.int64()),
        ("revision", pa.int32()),
        ("collected_at", INSTANT),
        ("run_id", pa.string()),
    ]
    return pa.schema(fields)


RESTATEMENTS = pa.schema(
    [
        *_SERIES_FIELDS,
        ("bucket_start", INSTANT),
        ("date", pa.date32()),
        ("old_sessions", pa.int64()),
        ("new_sessions", pa.int64()),
        ("revision", pa.int32()),
        ("previous_collected_at", INSTANT),
        ("collected_at", INSTANT),
        ("run_id", pa.string()),
    ]
)

COVERAGE = pa.schema(
    [*_SERIES_FIELDS, ("first_start", INSTANT), ("last_end", INSTANT), ("answered_at", INSTANT)],
)

LOG = pa.schema(
    [
        ("run_id", pa.string()),
        *_SERIES_FIELDS,
        ("window_start", INSTANT),
        ("window_end", INSTANT),
        ("reason", pa.string()),
        ("status", pa.string()),
        ("http_status", pa.int32()),
        ("attempts", pa.int32()),
        ("error", pa.string()),
        ("points", pa.int32()),
        ("expected_points", pa.int32()),
        ("requested_at", INSTANT),
        ("duration_ms", pa.int64()),
    ]
)

JOURNAL_SCHEMA = pa.schema(
    [
        *((name, pa.dictionary(pa.int32(), pa.string())) for name in SERIES),
        ("first", pa.int32()),
        ("stop", pa.int32()),
        ("reason", pa.string()),
        ("status", pa.string()),
        ("http_status", pa.int32()),
        ("attempts", pa.int32()),
        ("error", pa.string()),
        ("requested_at", INSTANT),
        ("duration_ms", pa.int64()),
        ("points", pa.int32()),
        ("buckets", pa.list_(pa.int32())),
        ("sessions", pa.list_(pa.int64())),
    ]
)
"""The journal: one row a window, its points in two lists. No table of the lake.

`buckets` is null where the answer was whole: they are those from `first` up to `stop`, one for each of `sessions`.
"""

JOURNAL_WINDOWS_SCHEMA = pa.schema(list(JOURNAL_SCHEMA)[:-2])
"""The journal without the lists: what is held of it in memory, whatever its size."""
