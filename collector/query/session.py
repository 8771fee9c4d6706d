"""DuckDB over a lake: every table and view by its name. Statements in, Arrow tables out. Nothing is ever written.

A lake in a folder is read by DuckDB itself. A lake in an object store is read through the store, as Arrow datasets:
DuckDB's own readers of object stores are extensions that it would download, and the store has the credentials.
Requires the extra `sql`. Times are in UTC. Results pass through Arrow, which handles time zones without pytz.
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
from collector.query import QueryRefused
from collector.query.engines.duckdb import DuckDB
from collector.query.views import ddl_statements, view_statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collector.lake.store import Store
    from collector.lake.tables import Table
    from collector.query.engines.engine import LakeLocation


_READ_ONLY = (duckdb.StatementType.SELECT, duckdb.StatementType.SET)
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)
_PIVOT = re.compile(r"\s*(pivot|from|with|select)\b", re.IGNORECASE)


class Session:
    """A connection to a lake, as a context manager."""

    def __init__(self, location: LakeLocation, store: Store) -> None:
        """Raises LakeError."""
        self._location = location
        self._read_errors: list[LakeError] = []
        self._connection = duckdb.connect()
        # Without the second setting, a misspelt table would be looked up among this program's Python variables.
        self._connection.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")
        if location.scheme:
            # DuckDB sees each table as an Arrow dataset. It passes filters on to it, so only matching partitions are
            # read.
            for table in TABLES:
                self._connection.register(table.name, _dataset(store, table, self._read_errors))
            declarations = view_statements(DuckDB(), location)
        else:
            declarations = ddl_statements(DuckDB(), location)
        with self._translate_errors():
            self._connection.execute(";\n".join(declarations))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def execute(self, text: str) -> Iterator[pa.Table]:
        """Execute statements in order; yields the rows of each that returns any. Raises QueryRefused, LakeError."""
        with self._translate_errors():
            for statement in self._connection.extract_statements(text):
                if not self._only_reads(statement):
                    raise QueryRefused("read-only: only SELECT, EXPLAIN, DESCRIBE, SHOW and SET are allowed")
                # `sql` returns a relation, or None for a statement without rows, such as a SET.
                if statement.type is duckdb.StatementType.SET:
                    self._connection.execute(statement)
                else:
                    yield _integers(self._connection.sql(statement.query).to_arrow_table())

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Attribute an error to a file of the lake (LakeError), or else to the statement (QueryRefused).

        A store's own error is in `_read_errors`. An error of DuckDB's own reader names the file by its full path.
        """
        self._read_errors.clear()
        try:
            yield
        except (duckdb.Error, pa.ArrowException) as error:
            # Arrow reports an empty file; the reason why it is empty is here (see `_StoreFiles`).
            if self._read_errors:
                raise self._read_errors[0] from error
            if self._location.lake in str(error):
                raise LakeError(
                    f"{_one_line(error)}. If a run has just replaced that file, repeat the query"
                ) from error
            raise QueryRefused(_one_line(error)) from error

    def _only_reads(self, statement: duckdb.Statement) -> bool:
        """Whether executing the statement cannot write.

        EXPLAIN ANALYZE executes the statement that it explains, so that statement is parsed and judged in turn. A
        PIVOT has the type MULTI, since DuckDB first creates a temporary type for it.
        """
        if statement.type is duckdb.StatementType.EXPLAIN:
            # Text that does not begin as the pattern expects, for example with a comment, stays as it is, and is
            # refused.
            inner = _EXPLAIN.sub("", statement.query, count=1)
            return inner != statement.query and all(map(self._only_reads, self._connection.extract_statements(inner)))
        is_pivot = statement.type is duckdb.StatementType.MULTI and _PIVOT.match(statement.query) is not None
        return statement.type in _READ_ONLY or is_pivot


def _one_line(error: Exception) -> str:
    """DuckDB's message without its excerpt of the statement."""
    kept: list[str] = []
    for line in str(error).splitlines():
        if line.startswith("LINE "):
            break
        kept.append(line.strip())
    return " ".join(filter(None, kept))


def _integers(result: pa.Table) -> pa.Table:
    """The result with int64 columns where DuckDB gives 128-bit decimals, as it does for a sum of counts."""
    for position, field in enumerate(result.schema):
        # A sum of int64 has the type HUGEINT, which Arrow only has as a decimal. Readers of results expect integers.
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            try:
                column = pc.cast(result[field.name], pa.int64())
            except pa.ArrowInvalid:  # larger than int64
                continue
            result = result.set_column(position, field.name, column)
    return result


def _dataset(store: Store, table: Table, read_errors: list[LakeError]) -> ds.Dataset | pa.Table:
    """The table's files, listed once; an empty table where there is none. Raises LakeError.

    A scan that cannot read a file ends in an error of Arrow's; `read_errors` then has the reason.
    """
    fields = pa.schema([(column.name, column.type) for column in table.all_columns])
    paths = sorted(path for path in store.list(table.name) if path.endswith(".parquet"))
    if not paths:
        return fields.empty_table()
    partitioning = ds.partitioning(table.partition_schema, flavor="hive")
    filesystem = PyFileSystem(_StoreFiles(store, read_errors))
    return ds.dataset(paths, schema=fields, format="parquet", filesystem=filesystem, partitioning=partitioning)


class _StoreFiles(FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """A store as an Arrow file system, for reading files whose paths are known.

    No Python exception may pass through Arrow. A scan that fails formats its error while it holds a lock of its own,
    and needs the interpreter for a Python error; the thread that started the scan holds the interpreter and waits for
    that lock. So a file that cannot be read is given to Arrow as an empty one, which it refuses with its own error.
    """

    def __init__(self, store: Store, read_errors: list[LakeError]) -> None:
        self._store, self._read_errors = store, read_errors

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StoreFiles) and other._store is self._store

    def __hash__(self) -> int:
        return hash(id(self._store))

    def get_type_name(self) -> str:
        """The file system's name in messages."""
        return "lake"

    def normalize_path(self, path: str) -> str:
        """The path as it is: the store gave it."""
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[FileInfo]:
        """All are files: the store listed them."""
        return [FileInfo(path, FileType.File) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """One version of the file; an empty file, and an entry in `read_errors`, where it cannot be read."""
        try:
            opened = self._store.open(path)
        except LakeError as error:
            self._read_errors.append(error)
            return pa.BufferReader(b"")
        if opened is None:
            self._read_errors.append(LakeError(f"{path} was removed while it was being read: repeat the query"))
            return pa.BufferReader(b"")
        return opened[0]

    def _unsupported(self, *_: Any) -> Any:
        raise NotImplementedError("tables are read-only here")

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = _unsupported
    get_file_info_selector = move = open_append_stream = open_input_stream = open_output_stream = _unsupported
