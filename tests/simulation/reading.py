"""The lake's files as plain values, read with pyarrow alone, as any reader would.

Each version of a file is read once. A file in a place that CONTRACT section 4 does not have, one that cannot be read,
or one with other columns is a violation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from collector.lake.tables import COVERAGE, LOG, RESTATEMENTS, RUNS, TABLES, Table
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from tests.simulation.memory_store import Disk
    from tests.simulation.model import Partition

_BY_NAME = {table.name: table for table in TABLES}
_PARTITIONS = {"workspace": r"[a-z0-9_-]+", "month": r"\d{4}-\d\d-01"}


def _pattern(table: Table) -> re.Pattern[str]:
    """The paths of a table's files: one a partition."""
    names = [column.name for column in table.partitions]
    folders = "/".join(f"{name}=(?P<{name}>{_PARTITIONS[name]})" for name in names)
    return re.compile(rf"{table.name}/{folders}/data\.parquet")


_SCOPES = "|".join(scope.value for scope in Scope)
DATA = re.compile(
    rf"sessions_(?P<scope>{_SCOPES})_(?P<unit>daily|hourly)"
    rf"/workspace=(?P<workspace>{_PARTITIONS['workspace']})/month=(?P<month>{_PARTITIONS['month']})/data\.parquet"
)
RESTATED, COVERED, LOGGED, RAN = (_pattern(table) for table in (RESTATEMENTS, COVERAGE, LOG, RUNS))
INTERNAL = re.compile(
    r"_collector/(?P<workspace>[a-z0-9_-]+)/(?P<what>workspace\.json|lock\.json|journal/\S+\.parquet)"
)
_KNOWN = (INTERNAL, *map(_pattern, TABLES))

_OLD_AND_NEW = tuple(name for name in RESTATEMENTS.schema.names if name.startswith(("old_", "new_")))
_COUNTS = (*_OLD_AND_NEW, "revision", "previous_collected_at", "collected_at")
_SAME_IN_ALL_ROWS = {"metric": "sessions", "event": ""}
_NOT_IN_THE_MODEL = {"app", "segment", "requested_at", "duration_ms", *_SAME_IN_ALL_ROWS}


class Violation(AssertionError):
    """The lake, or a run, broke a rule of the contract."""


class Reader:
    """Reads a disk, and remembers by version."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._known: dict[str, list[tuple[Any, ...]]] = {}

    def check_paths(self) -> None:
        """The lake has no files but those of the contract."""
        for path in self._disk.files:
            if not any(pattern.fullmatch(path) for pattern in _KNOWN):
                raise Violation(f"not a file of the lake: {path}")

    def data(self, path: str) -> list[tuple[Any, ...]]:
        """app_id, segment_id, bucket, sessions, revision, collected_at, run_id, app, segment."""
        _, unit, _ = partition_of(path)
        when = "date" if unit is Unit.DAY else "hour"
        options = ("app_id", "segment_id", when, "sessions", "revision", "collected_at", "run_id", "app", "segment")
        return self._rows(path, _BY_NAME[path.partition("/")[0]].schema, options)

    def restatements(self, path: str) -> list[tuple[Any, ...]]:
        """As `Model.restatements` has them."""
        ids = ("scope", "unit", "app_id", "segment_id", "bucket_start", "date")
        options = (*ids, *_COUNTS, "run_id", "app", "segment")
        return _in_month(path, self._rows(path, RESTATEMENTS.schema, options))

    def coverage(self, path: str) -> list[tuple[Any, ...]]:
        """scope, unit, app_id, segment_id, then first_start, last_end, first_date, last_date, answered_at, settled."""
        ids, days = ("scope", "unit", "app_id", "segment_id"), ("first_date", "last_date")
        return self._rows(path, COVERAGE.schema, (*ids, "first_start", "last_end", *days, "answered_at", "settled"))

    def log(self, path: str) -> list[tuple[Any, ...]]:
        """As `Model.log` has them."""
        options = tuple(name for name in LOG.schema.names if name not in _NOT_IN_THE_MODEL)
        return _in_month(path, self._rows(path, LOG.schema, options))

    def runs(self, path: str) -> list[tuple[Any, ...]]:
        """The columns of the table, in their order."""
        return self._rows(path, RUNS.schema, tuple(RUNS.schema.names))

    def _rows(self, path: str, schema: pa.Schema, options: tuple[str, ...]) -> list[tuple[Any, ...]]:
        file = self._disk.files[path]
        known = self._known.get(file.version)
        if known is None:
            known = self._known[file.version] = _read(path, file.content, schema, options)
        return known


def partition_of(path: str) -> Partition:
    """The scope, unit and month of a data file."""
    match = DATA.fullmatch(path)
    if match is None:
        raise Violation(f"not a data file: {path}")
    return Scope(match["scope"]), Unit.DAY if match["unit"] == "daily" else Unit.HOUR, match["month"]


def month_of_path(path: str) -> str:
    """The month in a path."""
    return path.partition("/month=")[2].partition("/")[0]


def _in_month(path: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(month_of_path(path), *row) for row in rows]


def _read(path: str, content: pa.Buffer, schema: pa.Schema, options: tuple[str, ...]) -> list[tuple[Any, ...]]:
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise Violation(f"{path} cannot be read: {error}") from error
    if table.schema.names != schema.names or table.schema.types != schema.types:
        raise Violation(f"{path} has other columns: {table.schema}")
    for name, value in _SAME_IN_ALL_ROWS.items():
        if name in table.column_names and set(_column(table, name)) - {value}:
            raise Violation(f"{path}: {name} is not {value or 'null'} in each row")
    return list(zip(*(_column(table, name) for name in options), strict=True))


def _column(table: pa.Table, name: str) -> list[Any]:
    """Plain values: hours as bucket numbers, other instants in microseconds, "" for a text that is null or absent."""
    if name not in table.column_names:
        return [""] * table.num_rows
    column = table[name].combine_chunks()
    if pa.types.is_string(column.type):
        return _texts(column)
    if column.null_count:
        nulls: list[Any] = column.cast(pa.int32() if pa.types.is_date(column.type) else pa.int64()).to_pylist()
        return nulls
    if name == "hour":
        return [instant // 3_600_000_000 for instant in _numbers(column.cast(pa.int64()))]
    return _numbers(
        column.cast(pa.int32()).cast(pa.int64()) if pa.types.is_date(column.type) else column.cast(pa.int64())
    )


def _texts(column: pa.Array) -> list[str]:
    encoded = column.fill_null("").dictionary_encode()
    known = encoded.dictionary.to_pylist()
    return [known[place] for place in _numbers(encoded.indices.cast(pa.int64()))]


def _numbers(column: pa.Array) -> list[int]:
    """As Python integers, in bulk."""
    values = memoryview(column.buffers()[1]).cast("q")
    return values[column.offset : column.offset + len(column)].tolist()
