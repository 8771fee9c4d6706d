"""A lake with every table in it, made by the stand-in in two nights, and what its files hold."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from collector.model import Scope
from tests.test_night import EVENING, World

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.tables import Table
    from tests.night import Night

Row = tuple[object, ...]

WORKSPACES = (
    {
        "name": "acme",
        "timezone": "America/New_York",
        "apps": [{"name": "ios", "id": "id of 'ios' / 007"}, {"name": "größe", "id": "0012"}],
        "segments": [{"name": "vip", "id": "id-vip"}],
    },
    {"name": "globex_2", "timezone": "Asia/Tokyo"},
)
"""Ids and names that engines could misread: quotes, slashes, leading zeros, letters beyond ASCII."""


def two_nights(folder: Path) -> Night:
    """Land the lake."""
    env = World(folder, *WORKSPACES, scopes=[str(scope) for scope in Scope], start="2026-10-28")
    with env.served():
        assert env.night.run(EVENING).exit_code == 0
        env.simulation.now = EVENING + timedelta(days=1)
        assert env.night.run(EVENING + timedelta(days=1)).exit_code == 0
    return env.night


@cache
def truth(lake: Path, table: Table) -> list[Row]:
    """The table's rows, each file read by itself and the values of its path put behind its columns."""
    found: list[Row] = []
    for file in sorted((lake / table.name).rglob("*.parquet")):
        values = dict(part.split("=", 1) for part in file.parent.relative_to(lake / table.name).parts)
        ends = [pa.array([values[column.name]]).cast(column.type)[0].as_py() for column in table.partitions]
        rows = pq.ParquetFile(file).read()
        found += [(*row, *ends) for row in zip(*(column.to_pylist() for column in rows.columns), strict=True)]
    assert found, table.name
    return in_order(found)


def in_order(rows: list[Row]) -> list[Row]:
    """Rows in an order that every engine's answer can be put into."""
    return sorted(rows, key=lambda row: [(value is not None, str(value)) for value in row])


def rows_of(answer: pa.Table) -> list[Row]:
    """An Arrow table's rows, in order."""
    return in_order(list(zip(*(column.to_pylist() for column in answer.columns), strict=True)))


def same_types(answer: pa.Schema, table: Table) -> bool:
    """Names in the contract's order, partitions behind them, and the contract's types; strings may be large ones."""
    found = [(field.name, _plain(field.type)) for field in answer]
    return found == [(column.name, column.type) for column in table.all_columns]


def _plain(kind: pa.DataType) -> pa.DataType:
    """Arrow's several layouts of text are one type to a person."""
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.string() if is_text else kind
