"""The lake's tables as readers declare them: names, columns with types and comments, partitions. Reads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from collector.lake import columns, paths, schema
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKSPACE = pa.field("workspace", pa.string())
MONTH = pa.field("month", pa.date32())
RUN_DATE = pa.field("run_date", pa.date32())


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or view: its name, its Arrow type, and what it means."""

    name: str
    type: pa.DataType
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the lake, in the folder of its name. `columns`: in its files; `partitions`: in its paths, in order."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    partitions: tuple[Column, ...]
    scope: Scope | None = None
    unit: Unit | None = None

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The files' columns and then the paths', as every engine shows them."""
        return (*self.columns, *self.partitions)

    @property
    def partition_schema(self) -> pa.Schema:
        """What pyarrow and DataFusion must be told."""
        return pa.schema([(column.name, column.type) for column in self.partitions])


def _columns(fields: pa.Schema, comments: Mapping[str, str]) -> tuple[Column, ...]:
    return tuple(Column(field.name, field.type, comments[field.name]) for field in fields)


def _table(
    name: str, fields: pa.Schema, comments: Mapping[str, str], comment: str, *partitions: pa.Field,
    scope: Scope | None = None, unit: Unit | None = None,
) -> Table:  # fmt: skip
    partitioned = _columns(pa.schema([WORKSPACE, *partitions]), columns.PARTITIONS)
    return Table(name, comment, _columns(fields, comments), partitioned, scope, unit)


def _sessions(scope: Scope, unit: Unit) -> Table:
    name, comment = paths.table(scope, unit), columns.sessions_table(scope, unit)
    return _table(name, schema.sessions(scope, unit), columns.SESSIONS, comment, MONTH, scope=scope, unit=unit)


SESSIONS = tuple(_sessions(scope, unit) for scope in Scope for unit in Unit)
RESTATEMENTS = _table("restatements", schema.RESTATEMENTS, columns.RESTATEMENTS, columns.TABLES["restatements"], MONTH)
COVERAGE = _table("coverage", schema.COVERAGE, columns.COVERAGE, columns.TABLES["coverage"])
LOG = _table("collection_log", schema.LOG, columns.LOG, columns.TABLES["collection_log"], RUN_DATE)
TABLES = (*SESSIONS, RESTATEMENTS, COVERAGE, LOG)
"""All eleven, whether or not they have a file yet."""
