"""DuckDB over a lake: every table and view by its name, statements in, Arrow tables out. Nothing is ever written.

Needs the `sql` extra. Times are in UTC. Answers go through Arrow, which knows time zones by itself.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from collector.lake.catalog import TABLES
from collector.lake.errors import LakeError
from collector.query.engines.duck import DuckDB
from collector.query.files import dataset
from collector.query.statements import statements, view_statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.lake.store import Store
    from collector.query.ground import Ground

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.SET)
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)

_PIVOT = re.compile(r"\s*(pivot|from|with|select)\b", re.IGNORECASE)


class Unanswered(Exception):
    """A statement that DuckDB refuses, or that would write; told in one line (exit 2)."""


class Session:
    """A connection. Use as a context manager."""

    def __init__(self, ground: Ground, store: Store) -> None:
        """Raises LakeError."""
        self._ground = ground
        self._unread: list[LakeError] = []
        self._connection = duckdb.connect()
        # A table that is not there is a mistake, not a variable of this program.
        self._connection.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")
        if ground.scheme:
            for table in TABLES:
                self._connection.register(table.name, dataset(store, table, self._unread))
            declared = view_statements(DuckDB(), ground)
        else:
            declared = statements(DuckDB(), ground)
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
                    raise Unanswered(
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
            raise Unanswered(_line(error)) from error

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
