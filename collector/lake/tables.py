"""Every table of the lake, declared once: columns with types and comments, and partitions (CONTRACT section 4).

What writes and reads the lake takes its Arrow schemas from here; `ddl` and the views take names, types and comments.
docs/tables.md repeats the comments word by word. A comment is one line of ASCII text, so that it fits into a string
literal of any engine.

A later version may add columns at the end of a table, and tables at the end of TABLES. This module reads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from collector.lake import paths
from collector.model import Scope, Unit

VERSION = 1
"""The version of the lake's layout. A program refuses a lake with a newer one."""

INSTANT = pa.timestamp("us", tz="UTC")
_TEXT, _INT32, _INT64, _DATE = pa.string(), pa.int32(), pa.int64(), pa.date32()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name, its Arrow type, and its meaning."""

    name: str
    type: pa.DataType
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the lake, in the folder of its name. `columns` are in its files, `partitions` in the files' paths.

    Data tables have a scope and a unit; the others hold rows of every scope and unit.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    partitions: tuple[Column, ...]
    scope: Scope | None = None
    unit: Unit | None = None

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The files' columns and then the partitions, as every engine shows them."""
        return (*self.columns, *self.partitions)

    @property
    def schema(self) -> pa.Schema:
        """The schema of the table's files."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def partition_schema(self) -> pa.Schema:
        """The schema of the partitions, for engines that do not find the types out: pyarrow and DataFusion."""
        return pa.schema([(column.name, column.type) for column in self.partitions])

    @property
    def texts(self) -> tuple[str, ...]:
        """The names of the text columns in the files, which are held in memory as dictionaries."""
        return tuple(column.name for column in self.columns if column.type == _TEXT)

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of those of ID_COLUMNS that the table has. A data table's key is these and its time column."""
        return tuple(column.name for column in self.columns if column.name in ID_COLUMNS)


def _or_null(columns: tuple[Column, ...], where: str) -> tuple[Column, ...]:
    return tuple(replace(column, comment=f"{column.comment}; null where {where}") for column in columns)


_WORKSPACE = Column("workspace", _TEXT, "the workspace's name in the config; a partition")
_MONTH = Column("month", _DATE, "the first day of the row's month; a partition: filter on it to read less")
_RUN_DATE = Column("run_date", _DATE, "the day on which the run began, UTC; a partition: filter on it to read less")

_APP = (
    Column("app", _TEXT, "the app's name in the config when the row was written"),
    Column("app_id", _TEXT, "Braze's id of the app"),
)
_SEGMENT = (
    Column("segment", _TEXT, "the segment's name in the config when the row was written"),
    Column("segment_id", _TEXT, "Braze's id of the segment"),
)
_NAMES_AND_IDS = (*_or_null(_APP, "the scope has no app"), *_or_null(_SEGMENT, "the scope has no segment"))
_SERIES = (
    Column("scope", _TEXT, "app, app_segment, workspace or workspace_segment; rows of different scopes overlap"),
    Column("unit", _TEXT, "day or hour"),
    *_NAMES_AND_IDS,
)

ID_COLUMNS = ("app_id", "segment_id")
IDS = tuple(column.name for column in _NAMES_AND_IDS)
"""Names and ids of app and segment."""
SERIES = tuple(column.name for column in _SERIES)
"""The columns that name a series in tables of every scope and unit."""

_TIME = {
    Unit.DAY: Column("date", _DATE, "the calendar date in the workspace's time zone"),
    Unit.HOUR: Column("hour", INSTANT, "the start of the hour, UTC"),
}
_SESSIONS = Column("sessions", _INT64, "the count; a bucket that Braze did not report has no row")
_COUNTED = {
    Scope.APP: "the sessions of one app, all users",
    Scope.APP_SEGMENT: "the sessions of one app by the users of one segment",
    Scope.WORKSPACE: "the sessions of all apps, all users",
    Scope.WORKSPACE_SEGMENT: "the sessions of all apps by the users of one segment",
}
_BUCKET = {Unit.DAY: "calendar day of the workspace's zone", Unit.HOUR: "hour"}


def time_column(unit: Unit) -> str:
    """The column of a data table that holds the bucket: a date, or the start of an hour."""
    return _TIME[unit].name


def _data_table(scope: Scope, unit: Unit, value: Column) -> Table:
    """The table of one scope and unit. `value` is the column of the count."""
    return Table(
        paths.table(scope, unit),
        f"{_COUNTED[scope]}, by {_BUCKET[unit]}; rows of other scopes overlap with these: never add them up",
        (
            *(_APP if scope.has_app else ()),
            *(_SEGMENT if scope.has_segment else ()),
            _TIME[unit],
            value,
            Column("revision", _INT32, "0 at first; grows by one with each restatement"),
            Column("collected_at", INSTANT, "when this count was first seen, UTC"),
            Column("run_id", _TEXT, "the run that first saw this count"),
        ),
        (_WORKSPACE, _MONTH),
        scope,
        unit,
    )


SESSIONS = tuple(_data_table(scope, unit, _SESSIONS) for scope in Scope for unit in Unit)
"""The data tables."""

_BY_SCOPE_AND_UNIT = {(table.scope, table.unit): table for table in SESSIONS}


def data_table(scope: Scope, unit: Unit) -> Table:
    """The data table that holds the rows of a scope and unit."""
    return _BY_SCOPE_AND_UNIT[scope, unit]


RESTATEMENTS = Table(
    "restatements",
    "one row for each restatement: a landed bucket that came back with another count",
    (
        *_SERIES,
        Column("bucket_start", INSTANT, "the start of the hour, or the local midnight of the day, UTC"),
        Column("date", _DATE, "the day's date in the workspace's time zone; null for hours"),
        Column("old_sessions", _INT64, "the old count"),
        Column("new_sessions", _INT64, "the new count"),
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
        Column("answered_at", INSTANT, "the oldest answer in the span, UTC"),
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
    ),
    (_WORKSPACE, _RUN_DATE),
)

TABLES = (*SESSIONS, RESTATEMENTS, COVERAGE, LOG)
"""All tables, whether or not they have a file yet."""
