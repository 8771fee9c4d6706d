"""Spark and Databricks: external tables over Parquet, whose partitions are found in their folders, not in a catalog.

So a new month is there by itself; a session that has read a table before sees new files after REFRESH TABLE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.engines.athena import hive_literal
from collector.query.engines.engine import INSTANT, Engine, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.lake.catalog import Table
    from collector.query.ground import Ground


class Spark(Engine):
    """Executed by the tests."""

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
        INSTANT: "TIMESTAMP",
    }
    quote = "`"

    def literal(self, text: str) -> str:
        """With a backslash."""
        return hive_literal(text)

    def root(self, ground: Ground) -> str:
        """A folder needs its scheme, or Spark looks for it in its own default file system."""
        return f"file://{ground.lake}" if not ground.scheme else super().root(ground)

    def before(self, ground: Ground) -> Iterable[str]:  # noqa: ARG002  # as the others'
        """Keep partitions out of the catalog, which would have to be told of each new one."""
        return ("SET spark.sql.hive.manageFilesourcePartitions = false",)

    def table(self, table: Table, ground: Ground) -> Iterator[str]:
        """Declare the table anew: dropping an external table leaves its files."""
        yield f"DROP TABLE IF EXISTS {table.name}"
        names = ", ".join(column.name for column in table.partitions)
        yield (
            f"CREATE TABLE {table.name} ({listed(self.column(column) for column in table.all_columns)})\n"
            f"USING PARQUET\nPARTITIONED BY ({names})\nLOCATION {self.literal(self.location(ground, table))}\n"
            f"COMMENT {self.literal(table.comment)}"
        )

    def local_time(self, hour: str, zone: str) -> str:
        """A timestamp without a zone, whatever the session's own zone is."""
        return f"timestampadd(SECOND, unix_seconds(from_utc_timestamp({hour}, {zone})), TIMESTAMP_NTZ'1970-01-01')"

    def week_start(self, day: str) -> str:
        """A date."""
        return f"trunc({day}, 'WEEK')"

    def iso_week(self, day: str) -> str:
        """The year that the week belongs to, and its number."""
        return f"concat(extract(YEAROFWEEK FROM {day}), '-W', lpad(CAST(extract(WEEK FROM {day}) AS STRING), 2, '0'))"

    def weekday(self, day: str) -> str:
        """Spark counts from 0."""
        return f"weekday({day}) + 1"


class Databricks(Spark):
    """Spark, where Unity Catalog finds partitions by itself. Parsed by the tests, never run there."""

    name = "databricks"
    schemes: ClassVar = {"s3": "s3", "s3a": "s3", "gs": "gs", "abfs": "abfss", "abfss": "abfss", "dbfs": "dbfs"}

    def root(self, ground: Ground) -> str:
        """No folder of this machine is within its reach."""
        return Engine.root(self, ground)

    def before(self, ground: Ground) -> Iterable[str]:  # noqa: ARG002  # as the others'
        """Nothing: Unity Catalog lists the folders when it is asked."""
        return ()
