"""What all engines share, in standard SQL. Each engine overrides what it writes in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from collector.query.ground import Undeclarable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from collector.lake.catalog import Column, Table
    from collector.query.ground import Ground
    from collector.query.view import View

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

    def location(self, ground: Ground, table: Table) -> str:
        """The table's folder, as this engine writes addresses."""
        return f"{self.root(ground)}/{table.name}"

    def root(self, ground: Ground) -> str:
        """The lake's address. Raises Undeclarable where this engine cannot read there."""
        if ground.scheme not in self.schemes:
            known = ", ".join(f"{scheme}://…" if scheme else "a folder" for scheme in self.schemes)
            raise Undeclarable(
                f"{self.name} does not read a lake at {ground.lake}; it reads {known}. Name where it is with --lake"
            )
        scheme = self.schemes[ground.scheme]
        return f"{scheme}://{ground.lake.partition('://')[2]}" if scheme else ground.lake

    def before(self, ground: Ground) -> Iterable[str]:  # noqa: ARG002  # Snowflake's stage is made of it
        """Statements that go first."""
        return ()

    def table(self, table: Table, ground: Ground) -> Iterator[str]:
        """Declare a table."""
        raise NotImplementedError

    def view(self, view: View) -> Iterator[str]:
        """Declare a view, its columns commented in one list."""
        columns = (f"{self.quoted(column.name)} COMMENT {self.literal(column.comment)}" for column in view.columns)
        yield (
            f"CREATE OR REPLACE VIEW {view.name} ({listed(columns)})\n"
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


def listed(items: Iterable[str]) -> str:
    """One line each, between brackets."""
    return "\n  " + ",\n  ".join(items) + "\n"
