"""BigQuery: external tables over Cloud Storage with Hive partitions, whose columns it cannot comment (the views do)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.engines.engine import INSTANT, Engine, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.lake.catalog import Table
    from collector.query.ground import Ground
    from collector.query.view import View


class BigQuery(Engine):
    """Parsed by the tests, never run there. Names go into the job's default dataset."""

    name = "bigquery"
    schemes: ClassVar = {"gs": "gs"}
    types: ClassVar = {
        pa.string(): "STRING",
        pa.date32(): "DATE",
        pa.int32(): "INT64",
        pa.int64(): "INT64",
        INSTANT: "TIMESTAMP",
    }
    quote = "`"

    def literal(self, text: str) -> str:
        """With a backslash."""
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def table(self, table: Table, ground: Ground) -> Iterator[str]:
        """Declare the table."""
        columns = (f"{self.quoted(c.name)} {self.types[c.type]} {self._described(c.comment)}" for c in table.columns)
        partitions = (f"{self.quoted(column.name)} {self.types[column.type]}" for column in table.partitions)
        location = self.location(ground, table)
        yield (
            f"CREATE OR REPLACE EXTERNAL TABLE {table.name} ({listed(columns)})\n"
            f"WITH PARTITION COLUMNS ({listed(partitions)})\nOPTIONS (\n  format = 'PARQUET',\n"
            f"  uris = [{self.literal(location + '/*.parquet')}],\n"
            f"  hive_partition_uri_prefix = {self.literal(location)},\n"
            f"  description = {self.literal(table.comment)}\n)"
        )

    def view(self, view: View) -> Iterator[str]:
        """Declare a view and its comments."""
        columns = (f"{self.quoted(column.name)} {self._described(column.comment)}" for column in view.columns)
        yield (
            f"CREATE OR REPLACE VIEW {view.name} ({listed(columns)})\n"
            f"{self._described(view.comment)}\nAS {view.select(self.quoted)}"
        )

    def local_time(self, hour: str, zone: str) -> str:
        """A DATETIME."""
        return f"DATETIME({hour}, {zone})"

    def week_start(self, day: str) -> str:
        """A date."""
        return f"DATE_TRUNC({day}, ISOWEEK)"

    def iso_week(self, day: str) -> str:
        """%G is the year that the week belongs to."""
        return f"FORMAT_DATE('%G-W%V', {day})"

    def weekday(self, day: str) -> str:
        """BigQuery counts from Sunday."""
        return f"MOD(EXTRACT(DAYOFWEEK FROM {day}) + 5, 7) + 1"

    def _described(self, comment: str) -> str:
        return f"OPTIONS (description = {self.literal(comment)})"
