"""Tables of a lake in an object store as Arrow datasets: listed once, each file opened by the store when it is read.

DuckDB's own readers of object stores are extensions that it downloads; the store is there, with its credentials.

No exception of Python's ever passes through Arrow: a scan that fails spells its error out under a lock of its own, for
which an error of Python's needs the interpreter, and the thread that begins the scan holds that and waits for the lock.

DuckDB over a lake: every table and view by its name, statements in, Arrow tables out. Nothing is ever written.

Needs the `sql` extra. Times are in UTC. Answers go through Arrow, which knows time zones by itself.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import FileInfo, FileSystemHandler, FileType, PyFileSystem

from collector.lake.store import LakeError
from collector.lake.tables import TABLES
from collector.query.engines.duckdb import DuckDB
from collector.query.refused import StatementError
from collector.query.views import ddl_statements, view_statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collector.lake.store import Store
    from collector.lake.tables import Table
    from collector.query.engines.engine import LakeLocation


def dataset(store: Store, table: Table, unread: list[LakeError]) -> ds.Dataset | pa.Table:
    """The table as it is now; an empty one where it has no file. Raises LakeError.

    `unread` gets the reason for each file that a scan could not read; the scan itself ends in an error of Arrow's.
    """
    fields = pa.schema([(column.name, column.type) for column in table.all_columns])
    paths = sorted(path for path in store.list(table.name) if path.endswith(".parquet"))
    if not paths:
        return fields.empty_table()
    partitioning = ds.partitioning(table.partition_schema, flavor="hive")
    filesystem = PyFileSystem(_StoreFiles(store, unread))
    return ds.dataset(paths, schema=fields, format="parquet", filesystem=filesystem, partitioning=partitioning)


class _StoreFiles(FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """A store as Arrow's file system, for reading files whose paths are known."""

    def __init__(self, store: Store, unread: list[LakeError]) -> None:
        self._store, self._unread = store, unread

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StoreFiles) and other._store is self._store

    def __hash__(self) -> int:
        return hash(id(self._store))

    def get_type_name(self) -> str:
        """For messages."""
        return "lake"

    def normalize_path(self, path: str) -> str:
        """Paths are as the store gave them."""
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[FileInfo]:
        """All are files: the store listed them."""
        return [FileInfo(path, FileType.File) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Open one version of the file; in place of one that cannot be read an empty one, which Arrow refuses."""
        try:
            opened = self._store.open(path)
        except LakeError as error:
            self._unread.append(error)
            return pa.BufferReader(b"")
        if opened is None:
            self._unread.append(LakeError(f"{path} was removed while it was being read: repeat the query"))
            return pa.BufferReader(b"")
        return opened[0]

    def _refused(self, *_: Any) -> Any:
        raise NotImplementedError("tables are only read here")

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = _refused
    get_file_info_selector = move = open_append_stream = open_input_stream = open_output_stream = _refused


_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.SET)
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)

_PIVOT = re.compile(r"\s*(pivot|from|with|select)\b", re.IGNORECASE)


class Session:
    """A connection. Use as a context manager."""

    def __init__(self, location: LakeLocation, store: Store) -> None:
        """Raises LakeError."""
        self._ground = location
        self._unread: list[LakeError] = []
        self._connection = duckdb.connect()
        # A table that is not there is a mistake, not a variable of this program.
        self._connection.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")
        if location.scheme:
            for table in TABLES:
                self._connection.register(table.name, dataset(store, table, self._unread))
            declared = view_statements(DuckDB(), location)
        else:
            declared = ddl_statements(DuckDB(), location)
        with self._told():
            self._connection.execute(";\n".join(declared))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def answers(self, text: str) -> Iterator[pa.Table]:
        """The rows of each statement that has any. Raises Unanswered, LakeError."""
        with self._told():
            for statement in self._connection.extract_statements(text):
                if not self._only_reads(statement):
                    raise StatementError(
                        "this reads and never writes: only SELECT, EXPLAIN, DESCRIBE, SHOW and SET do here"
                    )
                if statement.type is duckdb.StatementType.SET:
                    self._connection.execute(statement)
                else:
                    yield _plain(self._connection.sql(statement.query).to_arrow_table())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whose fault it is: the statement's, or that of a file of the lake."""
        self._unread.clear()
        try:
            yield
        except (duckdb.Error, pa.ArrowException) as error:
            if self._unread:
                raise self._unread[0] from error
            if self._ground.lake in str(error):
                raise LakeError(f"{_line(error)}. If a run has just replaced that file, repeat the query") from error
            raise StatementError(_line(error)) from error

    def _only_reads(self, statement: duckdb.Statement) -> bool:
        if statement.type is duckdb.StatementType.EXPLAIN:  # EXPLAIN ANALYZE carries out what it explains
            inner = _EXPLAIN.sub("", statement.query, count=1)
            return inner != statement.query and all(map(self._only_reads, self._connection.extract_statements(inner)))
        pivots = statement.type is duckdb.StatementType.MULTI and _PIVOT.match(statement.query) is not None
        return statement.type in _READING or pivots


def _line(error: Exception) -> str:
    """DuckDB's message without the excerpt of the statement that it points into."""
    kept: list[str] = []
    for line in str(error).splitlines():
        if line.startswith("LINE "):
            break
        kept.append(line.strip())
    return " ".join(filter(None, kept))


def _plain(answer: pa.Table) -> pa.Table:
    """Sums of counts come as 128-bit decimals: whole numbers where they fit."""
    for place, field in enumerate(answer.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            try:
                whole = pc.cast(answer[field.name], pa.int64())
            except pa.ArrowInvalid:
                continue
            answer = answer.set_column(place, field.name, whole)
    return answer
