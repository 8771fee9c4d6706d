"""Engines with Hive tables: Trino, Athena, Spark and Databricks. External tables over Parquet with Hive partitions.

A new month must not need a new statement. Trino and Athena compute the partitions from their names (partition
projection); Spark and Databricks list the folders. Hive timestamps have no zone; those of the lake are UTC.

Trino: the catalog needs `hive.partition-projection-enabled=true`.
Athena: takes one statement at a time; its tables are in Hive's SQL, its views in Trino's.
Spark: a session that has already read a table sees new files after REFRESH TABLE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.engines.engine import EARLIEST_MONTH, INSTANT, Engine, backslash_literal, comma_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.lake.tables import Column, Table
    from collector.query.engines.engine import LakeLocation, View


HIVE_TYPES = {
    pa.string(): "string",
    pa.date32(): "date",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    INSTANT: "timestamp",
}


class Trino(Engine):
    """Trino with a Hive catalog. The tests parse its statements and do not execute them."""

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
        pa.float64(): "double",
        pa.bool_(): "boolean",
        INSTANT: "timestamp(3)",
    }

    def table(self, table: Table, location: LakeLocation) -> Iterator[str]:
        """Drop and create the table; dropping an external table keeps its files."""
        columns = [self.column(column) for column in table.columns]
        columns += [f"{self.column(column)} WITH ({self._projection(column, location)})" for column in table.partitions]
        names = ", ".join(self.literal(column.name) for column in table.partitions)
        yield f"DROP TABLE IF EXISTS {table.name}"
        yield (
            f"CREATE TABLE {table.name} ({comma_lines(columns)})\nCOMMENT {self.literal(table.comment)}\nWITH (\n"
            f"  format = 'PARQUET',\n  external_location = {self.literal(self.location(location, table))},\n"
            f"  partitioned_by = ARRAY[{names}],\n  partition_projection_enabled = true\n)"
        )

    def view(self, view: View) -> Iterator[str]:
        """The view; each comment on a column is a statement of its own."""
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
        """The year of the week, and its number."""
        return f"CAST(year_of_week({day}) AS varchar) || '-W' || lpad(CAST(week({day}) AS varchar), 2, '0')"

    def weekday(self, day: str) -> str:
        """The ISO day of the week."""
        return f"day_of_week({day})"

    def _projection(self, column: Column, location: LakeLocation) -> str:
        if column.name == "workspace":
            names = ", ".join(self.literal(name) for name, _ in location.zones)
            return f"partition_projection_type = 'ENUM', partition_projection_values = ARRAY[{names}]"
        return (
            f"partition_projection_type = 'DATE', partition_projection_format = 'yyyy-MM-dd', "
            f"partition_projection_range = ARRAY['{EARLIEST_MONTH}', 'NOW'], partition_projection_interval = 1, "
            f"partition_projection_interval_unit = 'MONTHS'"
        )


class Athena(Trino):
    """Athena, without a crawler. The tests parse its statements and do not execute them."""

    name = "athena"
    schemes: ClassVar = {"s3": "s3", "s3a": "s3"}

    def table(self, table: Table, location: LakeLocation) -> Iterator[str]:
        """Drop and create the table; dropping an external table keeps its files."""
        columns = (self._hive_column(column) for column in table.columns)
        partitions = (self._hive_column(column) for column in table.partitions)
        properties = (
            f"{backslash_literal(k)} = {backslash_literal(v)}" for k, v in self.properties(table, location).items()
        )
        folder = self.location(location, table) + "/"
        yield f"DROP TABLE IF EXISTS {table.name}"
        yield (
            f"CREATE EXTERNAL TABLE {table.name} ({comma_lines(columns)})\nCOMMENT {backslash_literal(table.comment)}\n"
            f"PARTITIONED BY ({comma_lines(partitions)})\nSTORED AS PARQUET\nLOCATION {backslash_literal(folder)}\n"
            f"TBLPROPERTIES ({comma_lines(properties)})"
        )

    def view(self, view: View) -> Iterator[str]:
        """The view. Athena has no comments on views."""
        yield f"CREATE OR REPLACE VIEW {view.name} AS {view.select(self.quoted)}"

    def properties(self, table: Table, location: LakeLocation) -> dict[str, str]:
        """Table properties that make Athena compute the partitions instead of looking them up."""
        folders = "".join(f"/{column.name}=${{{column.name}}}" for column in table.partitions)
        properties = {
            "projection.enabled": "true",
            "projection.workspace.type": "enum",
            "projection.workspace.values": ",".join(name for name, _ in location.zones),
            "storage.location.template": f"{self.location(location, table)}{folders}",
        }
        for column in table.partitions[1:]:
            properties |= {
                f"projection.{column.name}.type": "date",
                f"projection.{column.name}.format": "yyyy-MM-dd",
                f"projection.{column.name}.range": f"{EARLIEST_MONTH},NOW",
                f"projection.{column.name}.interval": "1",
                f"projection.{column.name}.interval.unit": "MONTHS",
            }
        return properties

    def _hive_column(self, column: Column) -> str:
        return f"`{column.name}` {HIVE_TYPES[column.type]} COMMENT {backslash_literal(column.comment)}"


class Spark(Engine):
    """Spark. The tests execute its statements."""

    name = "spark"
    schemes: ClassVar = {
        "": "file",
        "file": "file",
        "s3": "s3a",
        "s3a": "s3a",
        "gs": "gs",
        "abfs": "abfs",
        "abfss": "abfss",
    }
    types: ClassVar = {
        pa.string(): "STRING",
        pa.date32(): "DATE",
        pa.int32(): "INT",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        INSTANT: "TIMESTAMP",
    }
    quote = "`"

    def literal(self, text: str) -> str:
        """A string literal; quotes are escaped with a backslash."""
        return backslash_literal(text)

    def root(self, location: LakeLocation) -> str:
        """The address; a folder gets its scheme, since Spark would look for it in its default file system.

        Spark takes a table's location for a pattern, in which a backslash makes the next character an ordinary one.
        """
        if location.scheme:
            return super().root(location)
        return "file://" + "".join(f"\\{char}" if char in "\\*?[]{}," else char for char in location.lake)

    def setup_statements(self, location: LakeLocation) -> Iterable[str]:  # noqa: ARG002  # the engines' common signature
        """Keep partitions out of the catalog: each new one would have to be added to it."""
        return ("SET spark.sql.hive.manageFilesourcePartitions = false",)

    def table(self, table: Table, location: LakeLocation) -> Iterator[str]:
        """Drop and create the table; dropping an external table keeps its files."""
        yield f"DROP TABLE IF EXISTS {table.name}"
        names = ", ".join(column.name for column in table.partitions)
        yield (
            f"CREATE TABLE {table.name} ({comma_lines(self.column(column) for column in table.all_columns)})\n"
            f"USING PARQUET\nPARTITIONED BY ({names})\nLOCATION {self.literal(self.location(location, table))}\n"
            f"COMMENT {self.literal(table.comment)}"
        )

    def local_time(self, hour: str, zone: str) -> str:
        """A timestamp without a zone, whatever the session's time zone is."""
        return f"timestampadd(SECOND, unix_seconds(from_utc_timestamp({hour}, {zone})), TIMESTAMP_NTZ'1970-01-01')"

    def week_start(self, day: str) -> str:
        """A date."""
        return f"trunc({day}, 'WEEK')"

    def iso_week(self, day: str) -> str:
        """The year of the week, and its number."""
        return f"concat(extract(YEAROFWEEK FROM {day}), '-W', lpad(CAST(extract(WEEK FROM {day}) AS STRING), 2, '0'))"

    def weekday(self, day: str) -> str:
        """Spark counts from 0 for Monday."""
        return f"weekday({day}) + 1"


class Databricks(Spark):
    """Spark with Unity Catalog, which finds partitions by itself. The tests parse its statements."""

    name = "databricks"
    schemes: ClassVar = {"s3": "s3", "s3a": "s3", "gs": "gs", "abfs": "abfss", "abfss": "abfss", "dbfs": "dbfs"}

    def root(self, location: LakeLocation) -> str:
        """The address; Databricks cannot read a folder of this machine."""
        return Engine.root(self, location)

    def setup_statements(self, location: LakeLocation) -> Iterable[str]:  # noqa: ARG002  # the engines' common signature
        """None: Unity Catalog lists the folders at each query."""
        return ()
