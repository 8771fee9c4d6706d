"""Snowflake: external tables over a stage, with partitions computed from the files' names.

`--lake @STAGE/PREFIX` names a stage that is there; any other address makes one, which wants your storage integration.
After a landing: ALTER EXTERNAL TABLE … REFRESH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.engines.engine import INSTANT, Engine, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.lake.catalog import Column, Table
    from collector.query.ground import Ground
    from collector.query.view import View

STAGE = "session_lake"


class Snowflake(Engine):
    """Parsed by the tests, never run there."""

    name = "snowflake"
    schemes: ClassVar = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "azure": "azure"}
    types: ClassVar = {
        pa.string(): "VARCHAR",
        pa.date32(): "DATE",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        INSTANT: "TIMESTAMP_LTZ",
    }
    reserved = frozenset()
    """Quoted names would be told apart by case: every query would have to quote them, too."""

    def before(self, ground: Ground) -> Iterable[str]:
        """The stage."""
        if ground.scheme == "@":
            return ()
        return (f"CREATE STAGE IF NOT EXISTS {STAGE} URL = {self.literal(self.root(ground) + '/')}",)

    def location(self, ground: Ground, table: Table) -> str:
        """A folder of the stage."""
        return f"{ground.lake if ground.scheme == '@' else '@' + STAGE}/{table.name}/"

    def table(self, table: Table, ground: Ground) -> Iterator[str]:
        """Declare the table."""
        columns = [self._column(column, f"value:{column.name}::{self.types[column.type]}") for column in table.columns]
        columns += [self._column(column, self._from_path(column)) for column in table.partitions]
        names = ", ".join(column.name for column in table.partitions)
        yield (
            f"CREATE OR REPLACE EXTERNAL TABLE {table.name} ({listed(columns)})\nPARTITION BY ({names})\n"
            f"LOCATION = {self.location(ground, table)}\nAUTO_REFRESH = FALSE\n"
            f"FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)\nCOMMENT = {self.literal(table.comment)}"
        )

    def view(self, view: View) -> Iterator[str]:
        """Declare a view and its comments."""
        columns = (f"{column.name} COMMENT {self.literal(column.comment)}" for column in view.columns)
        yield (
            f"CREATE OR REPLACE VIEW {view.name} ({listed(columns)})\n"
            f"COMMENT = {self.literal(view.comment)}\nAS {view.select(self.quoted)}"
        )

    def local_time(self, hour: str, zone: str) -> str:
        """A timestamp without a zone."""
        return f"CAST(CONVERT_TIMEZONE({zone}, {hour}) AS TIMESTAMP_NTZ)"

    def week_start(self, day: str) -> str:
        """A date; DATE_TRUNC would depend on the session's WEEK_START."""
        return f"DATEADD(DAY, 1 - DAYOFWEEKISO({day}), {day})"

    def iso_week(self, day: str) -> str:
        """The year that the week belongs to, and its number."""
        return f"TO_VARCHAR(YEAROFWEEKISO({day})) || '-W' || LPAD(TO_VARCHAR(WEEKISO({day})), 2, '0')"

    def weekday(self, day: str) -> str:
        """ISO's day of the week."""
        return f"DAYOFWEEKISO({day})"

    def _column(self, column: Column, expression: str) -> str:
        return f"{column.name} {self.types[column.type]} AS ({expression}) COMMENT {self.literal(column.comment)}"

    def _from_path(self, column: Column) -> str:
        text = f"SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/{column.name}=', 2), '/', 1)"
        return text if column.type == pa.string() else f"TO_DATE({text})"
