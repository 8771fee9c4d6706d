"""A lake with rows in every table, collected from the simulator in two runs, and the rows that its files hold."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from collector.lake.tables import DATA_TABLES as ALL_DATA_TABLES
from collector.lake.tables import TABLES as ALL_TABLES
from collector.model import Scope
from tests.support.builders import NOW
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.tables import Table
    from tests.support.night import Night

Row = tuple[object, ...]

DATA_TABLES = tuple(table for table in ALL_DATA_TABLES if table.metric.name == "sessions")
"""Those of the lake. `tests/test_metrics.py` reads those of the other metrics."""
TABLES = (*DATA_TABLES, *(table for table in ALL_TABLES if table not in ALL_DATA_TABLES))

WORKSPACES = (
    {
        "name": "acme",
        "timezone": "America/New_York",
        "apps": [{"name": "ios", "id": "id of 'ios' / 007"}, {"name": "größe", "id": "0012"}],
        "segments": [{"name": "vip", "id": "id-vip"}],
    },
    {"name": "globex_2", "timezone": "Asia/Tokyo"},
)
"""Ids and names that engines could misread: quotes, slashes, leading zeros, letters outside ASCII."""


def two_nights(folder: Path) -> Night:
    """Collect the lake into a folder."""
    env = Site(folder, *WORKSPACES, scopes=[str(scope) for scope in Scope], start="2026-10-28")
    with env.served():
        assert env.night.run(NOW).exit_code == 0
        env.simulation.now = NOW + timedelta(days=1)
        assert env.night.run(NOW + timedelta(days=1)).exit_code == 0
    return env.night


@cache
def truth(lake: Path, table: Table) -> list[Row]:
    """The table's rows: each file read by itself, with the partition values of its path behind its columns."""
    found: list[Row] = []
    for file in sorted((lake / table.name).rglob("*.parquet")):
        values = dict(part.split("=", 1) for part in file.parent.relative_to(lake / table.name).parts)
        ends = [pa.array([values[column.name]]).cast(column.type)[0].as_py() for column in table.partitions]
        rows = pq.ParquetFile(file).read()
        found += [(*row, *ends) for row in zip(*(column.to_pylist() for column in rows.columns), strict=True)]
    assert found, table.name
    return in_order(found)


def in_order(rows: list[Row]) -> list[Row]:
    """Rows in an order that does not depend on the engine."""
    return sorted(rows, key=lambda row: [(value is not None, str(value)) for value in row])


def rows_of(answer: pa.Table) -> list[Row]:
    """An Arrow table's rows, in that order."""
    return in_order(list(zip(*(column.to_pylist() for column in answer.columns), strict=True)))


def same_types(answer: pa.Schema, table: Table) -> bool:
    """Whether names, order and types are the table's, partitions last. Any Arrow layout of strings is accepted."""
    found = [(field.name, _plain(field.type)) for field in answer]
    return found == [(column.name, column.type) for column in table.all_columns]


def _plain(kind: pa.DataType) -> pa.DataType:
    """Each of Arrow's layouts of text as plain `string`."""
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.string() if is_text else kind
