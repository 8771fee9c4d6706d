"""What every table and column means, in one place: `ddl` writes it as comments, docs/tables.md repeats it word by word.

A comment is one line without a line's end, so that it can stand in any engine's string literal.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTITIONS: Mapping[str, str] = MappingProxyType(
    {
        "workspace": "the workspace's name in the config; a partition",
        "month": "the first day of the month that the row lies in; a partition: filter on it to read less",
        "run_date": "the day on which the run began, UTC; a partition: filter on it to read less",
    }
)

_SERIES = {
    "scope": "app, app_segment, workspace or workspace_segment; rows of different scopes overlap",
    "unit": "day or hour",
    "app": "the app's name in the config when the row was written; null where the scope has no app",
    "app_id": "Braze's id of the app; null where the scope has no app",
    "segment": "the segment's name in the config when the row was written; null where the scope has no segment",
    "segment_id": "Braze's id of the segment; null where the scope has no segment",
}

SESSIONS: Mapping[str, str] = MappingProxyType(
    {
        "app": "the app's name in the config when the row was written",
        "app_id": "Braze's id of the app",
        "segment": "the segment's name in the config when the row was written",
        "segment_id": "Braze's id of the segment",
        "date": "the calendar date in the workspace's time zone",
        "hour": "the start of the hour, UTC",
        "sessions": "the count; a bucket that Braze did not report has no row",
        "revision": "0 at first; one more with each restatement",
        "collected_at": "when this count was first seen, UTC",
        "run_id": "the run that brought this count",
    }
)

RESTATEMENTS: Mapping[str, str] = MappingProxyType(
    {
        **_SERIES,
        "bucket_start": "the start of the hour, or the local midnight of the day, UTC",
        "date": "the day's date in the workspace's time zone; null for hours",
        "old_sessions": "the count before",
        "new_sessions": "the count since then",
        "revision": "the row's revision since then",
        "previous_collected_at": "when the count before was first seen, UTC",
        "collected_at": "when the new count was first seen, UTC",
        "run_id": "the run that saw the new count",
    }
)

COVERAGE: Mapping[str, str] = MappingProxyType(
    {
        **_SERIES,
        "first_start": "the start of the first bucket of this run of covered buckets, UTC",
        "last_end": "the end of its last bucket, exclusive, UTC",
        "answered_at": "its oldest answer, UTC",
    }
)

LOG: Mapping[str, str] = MappingProxyType(
    {
        "run_id": "the run",
        **_SERIES,
        "window_start": "the start of the span asked for, UTC",
        "window_end": "the end of the span asked for, exclusive, UTC",
        "reason": "new, gap, lookback or forced",
        "status": "ok, failed or skipped",
        "http_status": "of the last reply; null where there was none",
        "attempts": "HTTP requests made for the window",
        "error": "why it failed or was skipped; null where it did not",
        "points": "buckets reported",
        "expected_points": "buckets asked for",
        "requested_at": "the first attempt, UTC",
        "duration_ms": "from the first attempt to the answer, in milliseconds",
    }
)

TABLES: Mapping[str, str] = MappingProxyType(
    {
        "restatements": "one row for each landed bucket that came back with another count, told exactly once",
        "coverage": "which buckets have been answered, one row a run of consecutive ones: the collector's own memory",
        "collection_log": "one row a request window with its outcome, one row a series for windows that were not sent",
    }
)

_COUNTS = {
    Scope.APP: "the sessions of one app, all users",
    Scope.APP_SEGMENT: "the sessions of one app by the users of one segment",
    Scope.WORKSPACE: "the sessions of all apps, all users",
    Scope.WORKSPACE_SEGMENT: "the sessions of all apps by the users of one segment",
}


def counts(scope: Scope) -> str:
    """What a row of that scope counts."""
    return _COUNTS[scope]


def sessions_table(scope: Scope, unit: Unit) -> str:
    """What a data table holds."""
    bucket = "calendar day of the workspace's zone" if unit is Unit.DAY else "hour"
    return f"{counts(scope)}, by {bucket}; rows of other scopes overlap with these: never add them up"
