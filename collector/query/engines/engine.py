"""What all engines share: where the lake is, and how tables, views and expressions are written in standard SQL.

In: a table or view, and the lake's location. Out: statements without their semicolon. Each engine overrides what it
writes in another way. Nothing is executed here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.lake.store import LakeError
from collector.lake.tables import TABLES
from collector.query import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from collector.config.settings import Config
    from collector.lake.store import Store
    from collector.lake.tables import Column, Table


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view: its name, its SQL expression, and its comment."""

    name: str
    expression: str
    comment: str


@dataclass(frozen=True, slots=True)
class View:
    """A view. `source`: its SQL from FROM on. `needs`: the tables and views that it reads."""

    name: str
    comment: str
    columns: tuple[ViewColumn, ...]
    source: str
    needs: tuple[str, ...] = ()

    def select(self, quoted: Callable[[str], str]) -> str:
        """The view's query. `quoted` quotes a column's name as the engine requires."""
        columns = ",\n  ".join(f"{column.expression} AS {quoted(column.name)}" for column in self.columns)
        return f"SELECT\n  {columns}\n{self.source}"


@dataclass(frozen=True, slots=True)
class LakeLocation:
    """Where the lake is, and the time zones of its workspaces.

    `lake`: an absolute folder or a URL, without a slash at its end. `zones`: each workspace's name and time zone.
    `files`: the paths of each table's files, for DuckDB, which cannot declare a table without one; None: not known.
    """

    lake: str
    zones: tuple[tuple[str, str], ...]
    files: Mapping[str, tuple[str, ...]] | None = None

    @property
    def scheme(self) -> str:
        """The address's scheme, such as `s3` or `gs`; empty for a folder, `@` for a Snowflake stage."""
        if self.lake.startswith("@"):
            return "@"
        return self.lake.partition("://")[0] if "://" in self.lake else ""


def lake_location(config: Config, files: Mapping[str, tuple[str, ...]] | None = None) -> LakeLocation:
    """The location that the config gives."""
    zones = tuple((workspace.name, workspace.timezone.key) for workspace in config.workspaces)
    return LakeLocation(config.lake.rstrip("/"), zones, files)


def table_files(store: Store) -> dict[str, tuple[str, ...]]:
    """The paths of the files of each table. Raises LakeError."""
    return {table.name: tuple(partition_files(table, store.list(table.name))) for table in TABLES}


def partition_files(table: Table, paths: Iterable[str]) -> list[str]:
    """Those of the paths that are files of the table's partitions: below one folder for each partition column."""
    keys = [column.name for column in table.partitions]

    def is_file(path: str) -> bool:
        return path.endswith(".parquet") and [name.partition("=")[0] for name in path.split("/")[1:-1]] == keys

    return sorted(filter(is_file, paths))


def refuse_links(location: LakeLocation) -> None:
    """Raise LakeError where a folder or a file of a table is a symbolic link. Object stores have none.

    A link's target can be replaced, moved or unmounted behind the lake's back, and readers differ in whether they
    follow it: some would show a lake with fewer rows.
    """
    if location.scheme:
        return
    for table in TABLES:
        folder = Path(location.lake, table.name)
        below = (Path(base, name) for base, folders, files in os.walk(folder) for name in (*folders, *files))
        for path in (folder, *below):
            if path.is_symlink():
                raise LakeError(
                    f"{path} is a symbolic link to {path.readlink()}, and the lake's tables hold none: put what it "
                    "leads to in its place, or mount it there; the lake's own folder may be a link"
                )


INSTANT = pa.timestamp("us", tz="UTC")
EARLIEST_MONTH = "2011-01-01"
"""The first projected month: Braze has counted no older session."""


class Engine:
    """One engine. Statements have no semicolon."""

    name: ClassVar[str]
    schemes: ClassVar[Mapping[str, str]]
    """Schemes of the lakes that it can read, and how it writes each; the empty scheme is a folder."""
    types: ClassVar[Mapping[pa.DataType, str]]
    quote = '"'
    reserved = frozenset({"date", "hour", "month"})

    def quoted(self, name: str) -> str:
        """A column's name, quoted where it is a reserved word in some engine."""
        return f"{self.quote}{name}{self.quote}" if name in self.reserved else name

    def literal(self, text: str) -> str:
        """A string literal."""
        return "'" + text.replace("'", "''") + "'"

    def location(self, location: LakeLocation, table: Table) -> str:
        """The table's folder, as this engine writes addresses."""
        return f"{self.root(location)}/{table.name}"

    def root(self, location: LakeLocation) -> str:
        """The lake's address, as this engine writes it. Raises QueryRefused where it cannot read there."""
        if location.scheme not in self.schemes:
            known = ", ".join(f"{scheme}://…" if scheme else "a folder" for scheme in self.schemes)
            raise QueryRefused(
                f"{self.name} cannot read a lake at {location.lake}, only {known}: write its address with --lake"
            )
        scheme = self.schemes[location.scheme]
        return f"{scheme}://{location.lake.partition('://')[2]}" if scheme else location.lake

    def setup_statements(self, location: LakeLocation) -> Iterable[str]:  # noqa: ARG002  # Snowflake's stage needs it
        """Statements to execute before all others."""
        return ()

    def table(self, table: Table, location: LakeLocation) -> Iterator[str]:
        """Statements that declare a table, replacing an earlier declaration."""
        raise NotImplementedError

    def view(self, view: View) -> Iterator[str]:
        """Statements that declare a view with its comments, replacing an earlier declaration."""
        columns = (f"{self.quoted(column.name)} COMMENT {self.literal(column.comment)}" for column in view.columns)
        yield (
            f"CREATE OR REPLACE VIEW {view.name} ({comma_lines(columns)})\n"
            f"COMMENT {self.literal(view.comment)}\nAS {view.select(self.quoted)}"
        )

    def local_time(self, hour: str, zone: str) -> str:
        """SQL for an instant's wall-clock time in a zone: a timestamp without a zone."""
        raise NotImplementedError

    def week_start(self, day: str) -> str:
        """SQL for the Monday of a date's week: a date."""
        raise NotImplementedError

    def iso_week(self, day: str) -> str:
        """SQL for the ISO 8601 week of a date, such as 2026-W47. Its year may differ from the date's."""
        raise NotImplementedError

    def weekday(self, day: str) -> str:
        """SQL for the day of the week: 1 for Monday to 7 for Sunday."""
        raise NotImplementedError

    def column(self, column: Column) -> str:
        """A column's declaration, with its comment."""
        return f"{self.quoted(column.name)} {self.types[column.type]} COMMENT {self.literal(column.comment)}"


def comma_lines(items: Iterable[str]) -> str:
    """The items between brackets, one a line."""
    return "\n  " + ",\n  ".join(items) + "\n"


def backslash_literal(text: str) -> str:
    """A string literal in SQL that escapes with a backslash: Hive's, Spark's and BigQuery's."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
