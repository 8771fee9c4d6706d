"""A view as a value: its columns, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column, the expression that gives it, and what it means."""

    name: str
    expression: str
    comment: str


@dataclass(frozen=True, slots=True)
class View:
    """A view. `source`: what stands behind its columns, from FROM on. `needs`: the tables and views that it reads."""

    name: str
    comment: str
    columns: tuple[ViewColumn, ...]
    source: str
    needs: tuple[str, ...] = ()

    def select(self, quoted: Callable[[str], str]) -> str:
        """Its query."""
        columns = ",\n  ".join(f"{column.expression} AS {quoted(column.name)}" for column in self.columns)
        return f"SELECT\n  {columns}\n{self.source}"
