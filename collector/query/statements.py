"""A lake's declaration as a list of statements: what goes first, tables, then the views over them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from collector.lake.catalog import TABLES
from collector.query.ground import Undeclarable
from collector.query.views import views

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from collector.query.engines.engine import Engine
    from collector.query.ground import Ground


def statements(engine: Engine, ground: Ground, only: Collection[str] = ()) -> Iterator[str]:
    """Declare all tables and views, or those named and what they read. Raises Undeclarable."""
    wanted = chosen(engine, ground, only)
    yield from engine.before(ground)
    for table in TABLES:
        if table.name in wanted:
            yield from engine.table(table, ground)
    yield from view_statements(engine, ground, wanted)


def view_statements(engine: Engine, ground: Ground, wanted: Collection[str] | None = None) -> Iterator[str]:
    """The views alone, over tables that are there already."""
    for view in views(engine, ground):
        if wanted is None or view.name in wanted:
            yield from engine.view(view)


def chosen(engine: Engine, ground: Ground, only: Collection[str]) -> set[str]:
    """The tables and views named and what they read; all where none is named. Raises Undeclarable."""
    known: dict[str, tuple[str, ...]] = {table.name: () for table in TABLES}
    known |= {view.name: view.needs for view in views(engine, ground)}
    found: set[str] = set()
    waiting = list(only or known)
    while waiting:
        name = waiting.pop()
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise Undeclarable(f"there is no table or view {name!r}; {hint}")
        if name not in found:
            found.add(name)
            waiting += known[name]
    return found
