"""What declarations speak of: where the lake is, whose days are cut in which zone. Read from the config alone.

What all engines share, in standard SQL. Each engine overrides what it writes in another way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.lake.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from collector.config.settings import Config
    from collector.lake.store import Store
    from collector.lake.tables import Column, Table
    from collector.query.views import View


class UnsupportedAddress(Exception):
    """The engine cannot read a lake at that address; the text says which it can (exit 2)."""


@dataclass(frozen=True, slots=True)
class LakeLocation:
    """`lake`: an absolute folder or a URL, without a slash at its end. `zones`: each workspace's name and zone.

    `absent`: tables that are known to have no file yet, for the one engine that refuses to declare those.
    """

    lake: str
    zones: tuple[tuple[str, str], ...]
    absent: frozenset[str] = frozenset()

    @property
    def scheme(self) -> str:
        """`s3`, `gs` and so on; nothing for a folder, `@` for a stage of Snowflake's."""
        if self.lake.startswith("@"):
            return "@"
        return self.lake.partition("://")[0] if "://" in self.lake else ""


def lake_location(config: Config, absent: frozenset[str] = frozenset()) -> LakeLocation:
    """What the config says of the lake."""
    zones = tuple((workspace.name, workspace.timezone.key) for workspace in config.workspaces)
    return LakeLocation(config.lake.rstrip("/"), zones, absent)


def absent_tables(store: Store) -> frozenset[str]:
    """The tables without a file. Raises LakeError."""
    return frozenset(table.name for table in TABLES if not store.list(table.name))


INSTANT = pa.timestamp("us", tz="UTC")
WALL_CLOCK = pa.timestamp("us")
_EARLIEST_MONTH = "2011-01-01"
"""Where projected months begin: no session that Braze counted is older."""
_EARLIEST_RUN = "2026-01-01"
"""Where projected run dates begin: no run of the collector is older."""


class Engine:
    """One engine. Statements come without their semicolon."""

    name: ClassVar[str]
    schemes: ClassVar[Mapping[str, str]]
    """The lakes it reads, by the scheme of their address, and how it writes that scheme; nothing is a folder."""
    types: ClassVar[Mapping[pa.DataType, str]]
    quote = '"'
    reserved = frozenset({"date", "hour", "month"})

    def quoted(self, name: str) -> str:
        """A column's name, quoted where some engine takes it for a word of its own."""
        return f"{self.quote}{name}{self.quote}" if name in self.reserved else name

    def literal(self, text: str) -> str:
        """A string."""
        return "'" + text.replace("'", "''") + "'"

    def location(self, location: LakeLocation, table: Table) -> str:
        """The table's folder, as this engine writes addresses."""
        return f"{self.root(location)}/{table.name}"

    def root(self, location: LakeLocation) -> str:
        """The lake's address. Raises Undeclarable where this engine cannot read there."""
        if location.scheme not in self.schemes:
            known = ", ".join(f"{scheme}://…" if scheme else "a folder" for scheme in self.schemes)
            raise UnsupportedAddress(
                f"{self.name} does not read a lake at {location.lake}; it reads {known}. Name where it is with --lake"
            )
        scheme = self.schemes[location.scheme]
        return f"{scheme}://{location.lake.partition('://')[2]}" if scheme else location.lake

    def before(self, location: LakeLocation) -> Iterable[str]:  # noqa: ARG002  # Snowflake's stage is made of it
        """Statements that go first."""
        return ()

    def table(self, table: Table, location: LakeLocation) -> Iterator[str]:
        """Declare a table."""
        raise NotImplementedError

    def view(self, view: View) -> Iterator[str]:
        """Declare a view, its columns commented in one list."""
        columns = (f"{self.quoted(column.name)} COMMENT {self.literal(column.comment)}" for column in view.columns)
        yield (
            f"CREATE OR REPLACE VIEW {view.name} ({comma_lines(columns)})\n"
            f"COMMENT {self.literal(view.comment)}\nAS {view.select(self.quoted)}"
        )

    def local_time(self, hour: str, zone: str) -> str:
        """The wall clock of an instant in a zone."""
        raise NotImplementedError

    def week_start(self, day: str) -> str:
        """The Monday of a date's week."""
        raise NotImplementedError

    def iso_week(self, day: str) -> str:
        """The ISO 8601 week of a date: 2026-W47."""
        raise NotImplementedError

    def weekday(self, day: str) -> str:
        """1 for Monday to 7 for Sunday."""
        raise NotImplementedError

    def column(self, column: Column) -> str:
        """A column's declaration, with its comment."""
        return f"{self.quoted(column.name)} {self.types[column.type]} COMMENT {self.literal(column.comment)}"


def projected_dates(partition: Column) -> tuple[str, str]:
    """Where a partition column of dates begins, and by what unit it goes on."""
    return (_EARLIEST_MONTH, "MONTHS") if partition.name == "month" else (_EARLIEST_RUN, "DAYS")


def comma_lines(items: Iterable[str]) -> str:
    """One line each, between brackets."""
    return "\n  " + ",\n  ".join(items) + "\n"
