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
        files = None if location.files is None else location.files[table.name]
        if files == ():
            columns = [
                f"CAST(NULL AS {self.types[each.type]}) AS {self.quoted(each.name)}" for each in table.all_columns
            ]
            source = "WHERE false"
        else:
            columns = [self.quoted(column.name) for column in table.columns]
            columns += [f"{self._from_path(table, each)} AS {self.quoted(each.name)}" for each in table.partitions]
            source = f"FROM {self._scan(table, location, files)}"
        yield f"CREATE OR REPLACE VIEW {table.name} AS SELECT{comma_lines(columns)}{source}"
        yield from self.comments(table)

    def comments(self, table: Table) -> Iterator[str]:
        """The statements for the comments on a table and its columns."""
        return self._comments(table.name, table.comment, table.all_columns)

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

    def _scan(self, table: Table, location: LakeLocation, files: tuple[str, ...] | None) -> str:
        # `hive_partitioning` would take the values from all folders of the path, those above the lake too.
        return f"read_parquet({self._paths(table, location, files)}, hive_partitioning = false, filename = true)"

    def _paths(self, table: Table, location: LakeLocation, files: tuple[str, ...] | None) -> str:
        """A pattern; a list of today's files below a folder with a backslash, which no pattern of DuckDB matches."""
        root = self.root(location)
        if "\\" in root and files is not None:
            return f"[{', '.join(self.literal(f'{root}/{path}') for path in files)}]"
        folders = "".join(f"/{column.name}=*" for column in table.partitions)
        return self.literal(f"{_escape_wildcards(root)}/{table.name}{folders}/*.parquet")

    def _from_path(self, table: Table, column: Column) -> str:
        """A partition's value, from its folder below the lake. DuckDB leaves out files by a filter on it, too."""
        folders = "/".join(f"{each.name}={'([^/]*)' if each is column else '[^/]*'}" for each in table.partitions)
        value = f"regexp_extract(filename, {self.literal(f'/{folders}/[^/]*$')}, 1)"
        return value if column.type == pa.string() else f"CAST({value} AS {self.types[column.type]})"

    def _comments(self, name: str, comment: str, columns: Iterable[Column | ViewColumn]) -> Iterator[str]:
        yield f"COMMENT ON VIEW {name} IS {self.literal(comment)}"
        for column in columns:
            yield f"COMMENT ON COLUMN {name}.{self.quoted(column.name)} IS {self.literal(column.comment)}"


def _escape_wildcards(path: str) -> str:
    """The path as a pattern that matches nothing else: wildcard characters are escaped."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)
