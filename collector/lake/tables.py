"""Every table of the lake, declared once: columns with types and comments, and partitions (CONTRACT section 4).

What writes and reads the lake takes its Arrow schemas from here; `ddl` and the views take names, types and comments.
docs/tables.md repeats the comments word by word. A comment is one line of ASCII text, so that it fits into a string
literal of any engine.

A later version may add columns at the end of a table, and tables at the end of TABLES. This module reads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from collector.lake import paths
from collector.lake.store import LakeRefused
from collector.metrics import ValueType
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collector.metrics import Metric

VERSION = 2
"""The version of the lake's layout. A program refuses a lake with another one."""


def check_layout(workspace: str, version: int) -> None:
    """Raise LakeRefused for a lake of another layout."""
    if version > VERSION:
        raise LakeRefused(
            f"workspace {workspace}: the lake was written by a newer collector (layout {version}, this one writes "
            f"{VERSION}). Upgrade the collector; nothing was read or written"
        )
    if version < VERSION:
        raise LakeRefused(
            f"workspace {workspace}: the lake has layout {version}, of a collector before 0.9, and this one reads and "
            f"writes layout {VERSION}. Collect into a new lake: write another folder for `lake:`, and a `start` as far "
            "back as you need; or rename the lake's folder and let the next run make a new one. Nothing was read or "
            "written"
        )


INSTANT = pa.timestamp("us", tz="UTC")
_TEXT, _INT32, _INT64, _FLOAT, _DATE = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.date32()
VALUE_TYPES = {ValueType.INTEGER: _INT64, ValueType.FLOAT: _FLOAT}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name, its Arrow type, and its meaning."""

    name: str
    type: pa.DataType
    comment: str


@dataclass(frozen=True)
class Table:
    """A table of the lake, in the folder of its name. `columns` are in its files, `partitions` in the files' paths."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    partitions: tuple[Column, ...]

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The files' columns and then the partitions, as every engine shows them."""
        return (*self.columns, *self.partitions)

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema of the table's files."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @cached_property
    def schema_in_memory(self) -> pa.Schema:
        """The schema with texts as dictionaries, as rows are held in memory."""
        texts = pa.dictionary(pa.int32(), _TEXT)
        return pa.schema([(column.name, texts if column.type == _TEXT else column.type) for column in self.columns])

    @property
    def partition_schema(self) -> pa.Schema:
        """The schema of the partitions, for engines that do not find the types out: pyarrow and DataFusion."""
        return pa.schema([(column.name, column.type) for column in self.partitions])

    @property
    def texts(self) -> tuple[str, ...]:
        """The names of the text columns in the files, which are held in memory as dictionaries."""
        return tuple(column.name for column in self.columns if column.type == _TEXT)


@dataclass(frozen=True)
class DataTable(Table):
    """The table of the values of one metric, scope and unit. The other tables hold rows of all of them."""

    metric: Metric
    scope: Scope
    unit: Unit

    @property
    def time_column(self) -> str:
        """The column that holds the bucket: a date, or the start of an hour."""
        return _TIME[self.unit].name

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of those of ID_COLUMNS that the table has. Its key is these and the time column."""
        names = [column.name for column in self.columns]
        return tuple(name for name in ID_COLUMNS if name in names)


def _or_null(columns: tuple[Column, ...], where: str) -> tuple[Column, ...]:
    return tuple(replace(column, comment=f"{column.comment}; null where {where}") for column in columns)


_WORKSPACE = Column("workspace", _TEXT, "the workspace's name in the config; a partition")
_MONTH = Column("month", _DATE, "the first day of the row's month; a partition: filter on it to read less")
_RUN_MONTH = Column("month", _DATE, "the first day of the month in which the run began, UTC; a partition")

_APP = (
    Column("app", _TEXT, "the app's name in the config when the row was written"),
    Column("app_id", _TEXT, "Braze's id of the app"),
)
_SEGMENT = (
    Column("segment", _TEXT, "the segment's name in the config when the row was written"),
    Column("segment_id", _TEXT, "Braze's id of the segment"),
)
_NAMES_AND_IDS = (*_or_null(_APP, "the scope has no app"), *_or_null(_SEGMENT, "the scope has no segment"))
_EVENT = (Column("event", _TEXT, "the name of the custom event"),)
_SERIES = (
    Column("metric", _TEXT, "what is counted, such as sessions"),
    Column("scope", _TEXT, "app, app_segment, workspace or workspace_segment; rows of different scopes overlap"),
    Column("unit", _TEXT, "day or hour"),
    *_NAMES_AND_IDS,
    *_or_null(_EVENT, "the metric has no events"),
)

ID_COLUMNS = ("event", "app_id", "segment_id")
"""What identifies a series in its data table, in the order of the rows. An event is identified by its name."""
IDS = (*(column.name for column in _NAMES_AND_IDS), "event")
"""Names and ids of app and segment, and the event."""
SERIES = tuple(column.name for column in _SERIES)
"""The columns that name a series in tables of all metrics, scopes and units."""
SERIES_KEY = ("metric", "scope", "unit", "app_id", "segment_id", "event")
"""Those of them that identify it, in the order in which tables are sorted."""

_TIME = {
    Unit.DAY: Column("date", _DATE, "the calendar date in the workspace's time zone"),
    Unit.HOUR: Column("hour", INSTANT, "the start of the hour, UTC"),
}
_OF_SCOPE = {
    Scope.APP: "of one app, all users",
    Scope.APP_SEGMENT: "of one app by the users of one segment",
    Scope.WORKSPACE: "of all apps, all users",
    Scope.WORKSPACE_SEGMENT: "of all apps by the users of one segment",
}
_BUCKET = {Unit.DAY: "calendar day of the workspace's zone", Unit.HOUR: "hour"}


def _table_comment(metric: Metric, scope: Scope, unit: Unit) -> str:
    if metric.needs_segments:
        return f"the {metric.noun} of one segment, by {_BUCKET[unit]}; segments overlap: never add them up"
    return (
        f"the {metric.noun} {_OF_SCOPE[scope]}, by {_BUCKET[unit]}; rows of other scopes overlap with these: never add "
        "them up"
    )


def _value_comment(metric: Metric) -> str:
    """What a value is. Values that must not be added up say so here, since this is where people add."""
    absent = "a bucket that Braze did not report has no row"
    if metric.repeats:
        return f"the {metric.noun}; never add it up: {metric.repeats}; {absent}"
    return f"the {'count' if metric.type is ValueType.INTEGER else 'amount'}; {absent}"


def _data_table(metric: Metric, scope: Scope, unit: Unit) -> DataTable:
    """The table of a metric's series of one scope and unit."""
    return DataTable(
        paths.table(metric.name, scope, unit),
        _table_comment(metric, scope, unit),
        (
            *(_EVENT if metric.has_events else ()),
            *(_APP if scope.has_app else ()),
            *(_SEGMENT if scope.has_segment else ()),
            _TIME[unit],
            Column(metric.name, VALUE_TYPES[metric.type], _value_comment(metric)),
            Column("revision", _INT32, "0 at first; grows by one with each restatement"),
            Column("collected_at", INSTANT, "when this count was first seen, UTC"),
            Column("run_id", _TEXT, "the run that first saw this count"),
        ),
        (_WORKSPACE, _MONTH),
        metric,
        scope,
        unit,
    )


_DATA_TABLES = {
    (metric.name, scope, unit): _data_table(metric, scope, unit) for metric, scope, unit in paths.data_tables()
}

DATA_TABLES = tuple(_DATA_TABLES.values())
"""The tables that hold values."""


def data_table(metric: str, scope: Scope, unit: Unit) -> DataTable:
    """The data table that holds the rows of a metric, scope and unit."""
    return _DATA_TABLES[metric, scope, unit]


RESTATEMENTS = Table(
    "restatements",
    "one row for each restatement: a landed bucket that came back with another count",
    (
        *_SERIES,
        Column("bucket_start", INSTANT, "the start of the hour, or the local midnight of the day, UTC"),
        Column("date", _DATE, "the day's date in the workspace's time zone; null for hours"),
        Column("old_value", _FLOAT, "the old count"),
        Column("new_value", _FLOAT, "the new count"),
        Column("revision", _INT32, "the row's revision with the new count"),
        Column("previous_collected_at", INSTANT, "when the old count was first seen, UTC"),
        Column("collected_at", INSTANT, "when the new count was first seen, UTC"),
        Column("run_id", _TEXT, "the run that first saw the new count"),
    ),
    (_WORKSPACE, _MONTH),
)

COVERAGE = Table(
    "coverage",
    "which buckets have been answered: one row for each covered span, that is consecutive buckets of a series",
    (
        *_SERIES,
        Column("first_start", INSTANT, "the start of the first bucket of a covered span, UTC"),
        Column("last_end", INSTANT, "the end of the last bucket of the span, exclusive, UTC"),
        Column("answered_at", INSTANT, "the oldest answer in the span, UTC; null where it has to be answered again"),
        Column("first_date", _DATE, "the first date of the span, in the workspace's time zone; null for hours"),
        Column("last_date", _DATE, "the last date of the span, included; null for hours"),
        Column("settled", pa.bool_(), "whether the span was answered when it was as old as the lookback, or older"),
    ),
    (_WORKSPACE,),
)

LOG = Table(
    "collection_log",
    "one row for each request window with its outcome, and one for each series with windows that were not sent",
    (
        Column("run_id", _TEXT, "the run"),
        *_SERIES,
        Column("window_start", INSTANT, "the start of the requested span, UTC"),
        Column("window_end", INSTANT, "the end of the requested span, exclusive, UTC"),
        Column("reason", _TEXT, "new, gap, lookback or forced"),
        Column("status", _TEXT, "ok, failed or skipped"),
        Column("http_status", _INT32, "the status of the last reply; null where there was none"),
        Column("attempts", _INT32, "HTTP requests made for the window"),
        Column("error", _TEXT, "why the window failed or was skipped; null where it was answered"),
        Column("points", _INT32, "buckets that the answer reported"),
        Column("expected_points", _INT32, "buckets that were requested"),
        Column("requested_at", INSTANT, "when the first attempt was sent, UTC"),
        Column("duration_ms", _INT64, "from the first attempt to the outcome, in milliseconds"),
        Column("quota_remaining", _INT64, "requests left in the hour, as the answer reported it"),
    ),
    (_WORKSPACE, _RUN_MONTH),
)

RUNS = Table(
    "runs",
    "one row for each run of a workspace, a run that died included",
    (
        Column("run_id", _TEXT, "the run"),
        Column("as_of", INSTANT, "the instant that counted as now, UTC"),
        Column("started_at", INSTANT, "when the run began, by the machine's clock, UTC"),
        Column("ended_at", INSTANT, "when the workspace was finished, UTC; null where the run died"),
        Column("exit_code", _INT32, "the exit code of the workspace's part of the run; null where the run died"),
        Column("windows_planned", _INT32, "windows planned"),
        Column("windows_ok", _INT32, "windows answered"),
        Column("windows_failed", _INT32, "windows sent and not answered"),
        Column("windows_skipped", _INT32, "windows planned and not sent"),
        Column("attempts", _INT32, "HTTP requests made"),
        Column("rows_added", _INT64, "rows added to the data tables"),
        Column("rows_restated", _INT64, "rows whose count changed"),
        Column("rows_unchanged", _INT64, "rows that came back with the same count"),
        Column("version", _TEXT, "the collector's version"),
    ),
    (_WORKSPACE, _RUN_MONTH),
)

TABLES = (*DATA_TABLES, RESTATEMENTS, COVERAGE, LOG, RUNS)
"""All tables, whether or not they have a file yet."""
