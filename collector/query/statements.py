"""A lake's declaration as a list of statements: what goes first, tables, then the views over them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from collector.lake.catalog import TABLES
from collector.query.ground import Undeclarable
from collector.query.views import views

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from collector.query.engines.engine import Engine
    from collector.query.ground import Ground


def statements(engine: Engine, ground: Ground, only: Collection[str] = ()) -> Iterator[str]:
    """Declare all tables and views, or those named and what they read. Raises Undeclarable."""
    chosen = _with_needs(only, needs(engine, ground))
    yield from engine.before(ground)
    for table in TABLES:
        if table.name in chosen:
            yield from engine.table(table, ground)
    yield from view_statements(engine, ground, chosen)


def view_statements(engine: Engine, ground: Ground, chosen: Collection[str] | None = None) -> Iterator[str]:
    """The views alone, over tables that are there already."""
    for view in views(engine, ground):
        if chosen is None or view.name in chosen:
            yield from engine.view(view)


def needs(engine: Engine, ground: Ground) -> dict[str, tuple[str, ...]]:
    """Every table and view, in order, and what it reads."""
    tables: dict[str, tuple[str, ...]] = {table.name: () for table in TABLES}
    return tables | {view.name: view.needs for view in views(engine, ground)}


def _with_needs(only: Collection[str], known: Mapping[str, tuple[str, ...]]) -> set[str]:
    chosen: set[str] = set()
    waiting = list(only or known)
    while waiting:
        name = waiting.pop()
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise Undeclarable(f"there is no table or view {name!r}; {hint}")
        if name not in chosen:
            chosen.add(name)
            waiting += known[name]
    return chosen
