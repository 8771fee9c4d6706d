"""What declarations speak of: where the lake is, whose days are cut in which zone. Read from the config alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.lake.catalog import TABLES

if TYPE_CHECKING:
    from collector.config.settings import Config
    from collector.lake.store import Store


class Undeclarable(Exception):
    """The engine cannot read a lake at that address; the text says which it can (exit 2)."""


@dataclass(frozen=True, slots=True)
class Ground:
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


def ground_of(config: Config, absent: frozenset[str] = frozenset()) -> Ground:
    """What the config says of the lake."""
    zones = tuple((workspace.name, workspace.timezone.key) for workspace in config.workspaces)
    return Ground(config.lake.rstrip("/"), zones, absent)


def absent_tables(store: Store) -> frozenset[str]:
    """The tables without a file. Raises LakeError."""
    return frozenset(table.name for table in TABLES if not store.list(table.name))
