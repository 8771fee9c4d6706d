"""Trino over a Hive catalog: external tables whose partitions are projected from their names, so nothing goes stale.

The catalog needs `hive.partition-projection-enabled=true`. Hive timestamps have no zone; those of the lake are UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.engines.engine import INSTANT, Engine, listed, projected_dates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.lake.catalog import Column, Table
    from collector.query.ground import Ground
    from collector.query.view import View


class Trino(Engine):
    """Parsed by the tests, never run there."""

    name = "trino"
    schemes: ClassVar = {
        "s3": "s3",
        "s3a": "s3",
        "gs": "gs",
        "abfs": "abfs",
        "abfss": "abfss",
        "hdfs": "hdfs",
        "file": "file",
    }
    types: ClassVar = {
        pa.string(): "varchar",
        pa.date32(): "date",
        pa.int32(): "integer",
        pa.int64(): "bigint",
        INSTANT: "timestamp(3)",
    }

    def table(self, table: Table, ground: Ground) -> Iterator[str]:
        """Declare the table anew: dropping an external table leaves its files."""
        columns = [self.column(column) for column in table.columns]
        columns += [f"{self.column(column)} WITH ({self._projection(column, ground)})" for column in table.partitions]
        names = ", ".join(self.literal(column.name) for column in table.partitions)
        yield f"DROP TABLE IF EXISTS {table.name}"
        yield (
            f"CREATE TABLE {table.name} ({listed(columns)})\nCOMMENT {self.literal(table.comment)}\nWITH (\n"
            f"  format = 'PARQUET',\n  external_location = {self.literal(self.location(ground, table))},\n"
            f"  partitioned_by = ARRAY[{names}],\n  partition_projection_enabled = true\n)"
        )

    def view(self, view: View) -> Iterator[str]:
        """Declare a view; its columns' comments are statements of their own."""
        yield f"CREATE OR REPLACE VIEW {view.name}\nCOMMENT {self.literal(view.comment)}\nAS {view.select(self.quoted)}"
        for column in view.columns:
            yield f"COMMENT ON COLUMN {view.name}.{self.quoted(column.name)} IS {self.literal(column.comment)}"

    def local_time(self, hour: str, zone: str) -> str:
        """A timestamp without a zone."""
        return f"CAST(at_timezone(with_timezone({hour}, 'UTC'), {zone}) AS timestamp(3))"

    def week_start(self, day: str) -> str:
        """A date."""
        return f"date_trunc('week', {day})"

    def iso_week(self, day: str) -> str:
        """The year that the week belongs to, and its number."""
        return f"CAST(year_of_week({day}) AS varchar) || '-W' || lpad(CAST(week({day}) AS varchar), 2, '0')"

    def weekday(self, day: str) -> str:
        """ISO's day of the week."""
        return f"day_of_week({day})"

    def _projection(self, column: Column, ground: Ground) -> str:
        if column.name == "workspace":
            names = ", ".join(self.literal(name) for name, _ in ground.zones)
            return f"partition_projection_type = 'ENUM', partition_projection_values = ARRAY[{names}]"
        first, unit = projected_dates(column)
        return (
            f"partition_projection_type = 'DATE', partition_projection_format = 'yyyy-MM-dd', "
            f"partition_projection_range = ARRAY['{first}', 'NOW'], partition_projection_interval = 1, "
            f"partition_projection_interval_unit = '{unit}'"
        )
