"""Cloud warehouses: BigQuery and Snowflake, with external tables over the lake's files.

BigQuery: Hive partitions over Cloud Storage. Partition columns cannot have comments there; those of the views have.
Snowflake: a stage, with partitions computed from the files' names. `--lake @STAGE/PREFIX` names an existing stage; any
other address creates one, to which you add your storage integration. After a run: ALTER EXTERNAL TABLE … REFRESH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.engines.engine import INSTANT, Engine, backslash_literal, comma_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.lake.tables import Column, Table
    from collector.query.engines.engine import LakeLocation, View


class BigQuery(Engine):
    """BigQuery; names are in the job's default dataset. The tests parse its statements and do not execute them."""

    name = "bigquery"
    schemes: ClassVar = {"gs": "gs"}
    types: ClassVar = {
        pa.string(): "STRING",
        pa.date32(): "DATE",
        pa.int32(): "INT64",
        pa.int64(): "INT64",
        pa.float64(): "FLOAT64",
        pa.bool_(): "BOOL",
        INSTANT: "TIMESTAMP",
    }
    quote = "`"

    def literal(self, text: str) -> str:
        """A string literal; quotes are escaped with a backslash."""
        return backslash_literal(text)

    def table(self, table: Table, location: LakeLocation) -> Iterator[str]:
        """The table, with its comments."""
        columns = (f"{self.quoted(c.name)} {self.types[c.type]} {self._described(c.comment)}" for c in table.columns)
        partitions = (f"{self.quoted(column.name)} {self.types[column.type]}" for column in table.partitions)
        folder = self.location(location, table)
        yield (
            f"CREATE OR REPLACE EXTERNAL TABLE {table.name} ({comma_lines(columns)})\n"
            f"WITH PARTITION COLUMNS ({comma_lines(partitions)})\nOPTIONS (\n  format = 'PARQUET',\n"
            f"  uris = [{self.literal(folder + '/*.parquet')}],\n"
            f"  hive_partition_uri_prefix = {self.literal(folder)},\n"
            f"  description = {self.literal(table.comment)}\n)"
        )

    def view(self, view: View) -> Iterator[str]:
        """The view, with its comments."""
        columns = (f"{self.quoted(column.name)} {self._described(column.comment)}" for column in view.columns)
        yield (
            f"CREATE OR REPLACE VIEW {view.name} ({comma_lines(columns)})\n"
            f"{self._described(view.comment)}\nAS {view.select(self.quoted)}"
        )

    def local_time(self, hour: str, zone: str) -> str:
        """A DATETIME, BigQuery's timestamp without a zone."""
        return f"DATETIME({hour}, {zone})"

    def week_start(self, day: str) -> str:
        """A date."""
        return f"DATE_TRUNC({day}, ISOWEEK)"

    def iso_week(self, day: str) -> str:
        """%G is the year of the week."""
        return f"FORMAT_DATE('%G-W%V', {day})"

    def weekday(self, day: str) -> str:
        """BigQuery counts from 1 for Sunday."""
        return f"MOD(EXTRACT(DAYOFWEEK FROM {day}) + 5, 7) + 1"

    def _described(self, comment: str) -> str:
        return f"OPTIONS (description = {self.literal(comment)})"


_STAGE = "session_lake"


class Snowflake(Engine):
    """Snowflake. The tests parse its statements and do not execute them."""

    name = "snowflake"
    schemes: ClassVar = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "azure": "azure"}
    types: ClassVar = {
        pa.string(): "VARCHAR",
        pa.date32(): "DATE",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        INSTANT: "TIMESTAMP_LTZ",
    }
    reserved = frozenset()
    """None is quoted: quoted names are case-sensitive in Snowflake, so every query would have to quote them, too."""

    def setup_statements(self, location: LakeLocation) -> Iterable[str]:
        """Create the stage, where `--lake` does not name one."""
        if location.scheme == "@":
            return ()
        return (f"CREATE STAGE IF NOT EXISTS {_STAGE} URL = {self.literal(self.root(location) + '/')}",)

    def location(self, location: LakeLocation, table: Table) -> str:
        """The table's folder in the stage."""
        return f"{location.lake if location.scheme == '@' else '@' + _STAGE}/{table.name}/"

    def table(self, table: Table, location: LakeLocation) -> Iterator[str]:
        """The table, with its comments."""
        columns = [self._column(column, f"value:{column.name}::{self.types[column.type]}") for column in table.columns]
        columns += [self._column(column, self._from_path(column)) for column in table.partitions]
        names = ", ".join(column.name for column in table.partitions)
        yield (
            f"CREATE OR REPLACE EXTERNAL TABLE {table.name} ({comma_lines(columns)})\nPARTITION BY ({names})\n"
            f"LOCATION = {self.location(location, table)}\nAUTO_REFRESH = FALSE\n"
            f"FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)\nCOMMENT = {self.literal(table.comment)}"
        )

    def view(self, view: View) -> Iterator[str]:
        """The view, with its comments."""
        columns = (f"{column.name} COMMENT {self.literal(column.comment)}" for column in view.columns)
        yield (
            f"CREATE OR REPLACE VIEW {view.name} ({comma_lines(columns)})\n"
            f"COMMENT = {self.literal(view.comment)}\nAS {view.select(self.quoted)}"
        )

    def local_time(self, hour: str, zone: str) -> str:
        """A timestamp without a zone."""
        return f"CAST(CONVERT_TIMEZONE({zone}, {hour}) AS TIMESTAMP_NTZ)"

    def week_start(self, day: str) -> str:
        """A date. DATE_TRUNC is not used: it depends on the session's WEEK_START."""
        return f"DATEADD(DAY, 1 - DAYOFWEEKISO({day}), {day})"

    def iso_week(self, day: str) -> str:
        """The year of the week, and its number."""
        return f"TO_VARCHAR(YEAROFWEEKISO({day})) || '-W' || LPAD(TO_VARCHAR(WEEKISO({day})), 2, '0')"

    def weekday(self, day: str) -> str:
        """The ISO day of the week."""
        return f"DAYOFWEEKISO({day})"

    def _column(self, column: Column, expression: str) -> str:
        return f"{column.name} {self.types[column.type]} AS ({expression}) COMMENT {self.literal(column.comment)}"

    def _from_path(self, column: Column) -> str:
        text = f"SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/{column.name}=', 2), '/', 1)"
        return text if column.type == pa.string() else f"TO_DATE({text})"
