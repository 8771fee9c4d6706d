"""DuckDB: views over `read_parquet`, since it has no external tables. Each comment is a statement of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.engines.engine import INSTANT, Engine, comma_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.lake.tables import Column, Table
    from collector.query.engines.engine import LakeLocation, View, ViewColumn


class DuckDB(Engine):
    """DuckDB. The tests and `sql` execute its statements."""

    name = "duckdb"
    schemes: ClassVar = {"": "", "s3": "s3", "gs": "gs", "abfs": "abfss", "abfss": "abfss", "az": "az"}
    types: ClassVar = {
        pa.string(): "VARCHAR",
        pa.date32(): "DATE",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        INSTANT: "TIMESTAMPTZ",
    }

    def table(self, table: Table, location: LakeLocation) -> Iterator[str]:
        """A view over the table's files. Without files, a view without rows: DuckDB refuses an empty pattern."""
        if table.name in location.absent:
            columns = (
                f"CAST(NULL AS {self.types[each.type]}) AS {self.quoted(each.name)}" for each in table.all_columns
            )
            source = "WHERE false"
        else:
            columns = (self.quoted(column.name) for column in table.all_columns)
            source = f"FROM {self._scan(table, location)}"
        yield f"CREATE OR REPLACE VIEW {table.name} AS SELECT{comma_lines(columns)}{source}"
        yield from self._comments(table.name, table.comment, table.all_columns)

    def view(self, view: View) -> Iterator[str]:
        """The view, and its comments."""
        yield f"CREATE OR REPLACE VIEW {view.name} AS {view.select(self.quoted)}"
        yield from self._comments(view.name, view.comment, view.columns)

    def local_time(self, hour: str, zone: str) -> str:
        """A timestamp without a zone."""
        return f"timezone({zone}, {hour})"

    def week_start(self, day: str) -> str:
        """A date."""
        return f"CAST(date_trunc('week', {day}) AS DATE)"

    def iso_week(self, day: str) -> str:
        """%G is the year of the week."""
        return f"strftime({day}, '%G-W%V')"

    def weekday(self, day: str) -> str:
        """The ISO day of the week."""
        return f"isodow({day})"

    def _scan(self, table: Table, location: LakeLocation) -> str:
        folders = "".join(f"/{column.name}=*" for column in table.partitions)
        pattern = self.literal(f"{_escape_wildcards(self.root(location))}/{table.name}{folders}/*.parquet")
        types = ", ".join(f"{column.name}: {self.types[column.type]}" for column in table.partitions)
        return f"read_parquet({pattern}, hive_partitioning = true, hive_types = {{{types}}})"

    def _comments(self, name: str, comment: str, columns: Iterable[Column | ViewColumn]) -> Iterator[str]:
        yield f"COMMENT ON VIEW {name} IS {self.literal(comment)}"
        for column in columns:
            yield f"COMMENT ON COLUMN {name}.{self.quoted(column.name)} IS {self.literal(column.comment)}"


def _escape_wildcards(path: str) -> str:
    """The path as a pattern that matches nothing else: wildcard characters are escaped."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)
