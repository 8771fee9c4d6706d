"""Athena: Hive's CREATE EXTERNAL TABLE with partition projection, so that no crawler is needed; views are Trino's.

Hive timestamps have no zone; those of the lake are UTC. Athena takes one statement at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.engines.engine import INSTANT, listed, projected_dates
from collector.query.engines.trino import Trino

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.lake.catalog import Column, Table
    from collector.query.ground import Ground
    from collector.query.view import View

HIVE_TYPES = {
    pa.string(): "string",
    pa.date32(): "date",
    pa.int32(): "int",
    pa.int64(): "bigint",
    INSTANT: "timestamp",
}


class Athena(Trino):
    """Parsed by the tests, never run there."""

    name = "athena"
    schemes: ClassVar = {"s3": "s3", "s3a": "s3"}

    def table(self, table: Table, ground: Ground) -> Iterator[str]:
        """Declare the table anew: dropping an external table leaves its files."""
        columns = (self._hive_column(column) for column in table.columns)
        partitions = (self._hive_column(column) for column in table.partitions)
        properties = (f"{hive_literal(k)} = {hive_literal(v)}" for k, v in self.properties(table, ground).items())
        yield f"DROP TABLE IF EXISTS {table.name}"
        yield (
            f"CREATE EXTERNAL TABLE {table.name} ({listed(columns)})\nCOMMENT {hive_literal(table.comment)}\n"
            f"PARTITIONED BY ({listed(partitions)})\nSTORED AS PARQUET\n"
            f"LOCATION {hive_literal(self.location(ground, table) + '/')}\nTBLPROPERTIES ({listed(properties)})"
        )

    def view(self, view: View) -> Iterator[str]:
        """Declare a view. Athena's views have no comments."""
        yield f"CREATE OR REPLACE VIEW {view.name} AS {view.select(self.quoted)}"

    def properties(self, table: Table, ground: Ground) -> dict[str, str]:
        """What makes Athena compute the partitions instead of looking them up."""
        folders = "".join(f"/{column.name}=${{{column.name}}}" for column in table.partitions)
        found = {
            "projection.enabled": "true",
            "projection.workspace.type": "enum",
            "projection.workspace.values": ",".join(name for name, _ in ground.zones),
            "storage.location.template": f"{self.location(ground, table)}{folders}",
        }
        for column in table.partitions[1:]:
            first, unit = projected_dates(column)
            found |= {
                f"projection.{column.name}.type": "date",
                f"projection.{column.name}.format": "yyyy-MM-dd",
                f"projection.{column.name}.range": f"{first},NOW",
                f"projection.{column.name}.interval": "1",
                f"projection.{column.name}.interval.unit": unit,
            }
        return found

    def _hive_column(self, column: Column) -> str:
        return f"`{column.name}` {HIVE_TYPES[column.type]} COMMENT {hive_literal(column.comment)}"


def hive_literal(text: str) -> str:
    """A string in Hive's DDL, and in Spark's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
