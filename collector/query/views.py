"""The views over the lake's tables, and the statements that declare tables and views in an engine.

In: an engine, and the lake's location. Out: SQL statements, in an order in which they can be executed.
Views add the newest name of each id, local hours and weeks. Names come from the coverage table, which has the newest
name of each series and is small, so a view costs hardly more than its table. Rows of a workspace that is no longer in
the config are kept; their time zone and local columns are null.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from collector.lake.tables import COVERAGE, DATA_TABLES, TABLES
from collector.model import Unit
from collector.query import QueryRefused
from collector.query.engines.engine import View, ViewColumn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from collector.lake.tables import DataTable, Table
    from collector.metrics import Metric
    from collector.model import Scope
    from collector.query.engines.engine import Engine, LakeLocation


def views(engine: Engine, location: LakeLocation) -> tuple[View, ...]:
    """All views, in an order in which each comes after those that it reads."""
    return (
        _workspaces(engine, location),
        _names("app"),
        _names("segment"),
        *(_values(engine, table) for table in DATA_TABLES),
    )


def view_name(metric: Metric, scope: Scope, unit: Unit) -> str:
    """The name of the view over a data table, such as app_days or dau_workspace_days."""
    return f"{metric.views}{scope}_{unit}s"


_WORKSPACE = ViewColumn("workspace", "s.workspace", "the workspace's name in the config; a partition")
_ZONE = "the time zone of the workspace's days; null for a workspace that is no longer in the config"


def _workspaces(engine: Engine, location: LakeLocation) -> View:
    rows = "\nUNION ALL\n".join(
        f"SELECT {engine.literal(name)} AS workspace, {engine.literal(zone)} AS timezone"
        for name, zone in location.zones
    )
    columns = (
        ViewColumn("workspace", "s.workspace", "the workspace's name"),
        ViewColumn("timezone", "s.timezone", "the time zone of its days"),
    )
    return View("workspaces", "the config's workspaces and their time zones", columns, f"FROM (\n{rows}\n) AS s")


def _names(kind: str) -> View:
    """The newest name of each id, which all rows of the coverage have."""
    columns = (
        _WORKSPACE,
        ViewColumn(f"{kind}_id", f"s.{kind}_id", f"Braze's id of the {kind}"),
        ViewColumn(kind, f"max(s.{kind})", "the newest name of that id"),
    )
    source = f"FROM {COVERAGE.name} AS s\nWHERE s.{kind}_id IS NOT NULL\nGROUP BY s.workspace, s.{kind}_id"
    return View(f"{kind}_names", f"the newest name of each {kind}'s id", columns, source, (COVERAGE.name,))


def _values(engine: Engine, table: DataTable) -> View:
    scope, unit = table.scope, table.unit
    kinds = {"app": "a"} if scope.has_app else {}
    kinds |= {"segment": "g"} if scope.has_segment else {}
    columns = (
        _WORKSPACE,
        ViewColumn("timezone", "s.timezone", _ZONE),
        *_unchanged_columns(engine, table, ("event",) if table.metric.has_events else ()),
        *(column for kind, alias in kinds.items() for column in _name_and_id(kind, alias)),
        *(_day(engine) if unit is Unit.DAY else _hour(engine)),
        *_unchanged_columns(engine, table, (table.metric.name, "revision", "collected_at", "run_id", "month")),
    )
    joins = "".join(
        f"\nLEFT JOIN {kind}_names AS {alias} ON {alias}.workspace = s.workspace AND {alias}.{kind}_id = s.{kind}_id"
        for kind, alias in kinds.items()
    )
    source = f"FROM (\n{_zoned(engine, table)}\n) AS s{joins}"
    comment = f"{table.comment}; with the newest names, weeks{'' if unit is Unit.DAY else ' and local hours'}"
    needs = (table.name, "workspaces", *(f"{kind}_names" for kind in kinds))
    return View(view_name(table.metric, scope, unit), comment, columns, source, needs)


def _zoned(engine: Engine, table: DataTable) -> str:
    """The table's rows with their time zone, and hours with their local time."""
    columns = ["t.*", "w.timezone"]
    if table.unit is Unit.HOUR:
        hour = "t." + engine.quoted("hour")
        columns.append(f"{engine.local_time(hour, 'w.timezone')} AS local_time")
    source = f"{table.name} AS t LEFT JOIN workspaces AS w ON w.workspace = t.workspace"
    return f"  SELECT {', '.join(columns)}\n  FROM {source}"  # noqa: S608  # names from the catalog


def _name_and_id(kind: str, alias: str) -> Iterator[ViewColumn]:
    yield ViewColumn(kind, f"COALESCE({alias}.{kind}, s.{kind})", f"the newest name of the {kind}'s id")
    yield ViewColumn(f"{kind}_id", f"s.{kind}_id", f"Braze's id of the {kind}")


def _unchanged_columns(engine: Engine, table: Table, names: tuple[str, ...]) -> Iterator[ViewColumn]:
    comments = {column.name: column.comment for column in table.all_columns}
    return (ViewColumn(name, f"s.{engine.quoted(name)}", comments[name]) for name in names)


def _day(engine: Engine) -> tuple[ViewColumn, ...]:
    day = f"s.{engine.quoted('date')}"
    return (ViewColumn("date", day, "the calendar date in the workspace's time zone"), *_week(engine, day))


def _hour(engine: Engine) -> tuple[ViewColumn, ...]:
    day = "CAST(s.local_time AS DATE)"
    return (
        ViewColumn("hour", f"s.{engine.quoted('hour')}", "the start of the hour, UTC"),
        ViewColumn("local_time", "s.local_time", "the start of the hour on the workspace's wall clock"),
        ViewColumn("local_date", day, "the workspace's calendar date at the start of the hour"),
        ViewColumn("local_hour", "EXTRACT(HOUR FROM s.local_time)", "the hour of the workspace's day, 0 to 23"),
        *_week(engine, day),
    )


def _week(engine: Engine, day: str) -> Iterator[ViewColumn]:
    yield ViewColumn("week_start", engine.week_start(day), "the Monday of that date's week")
    yield ViewColumn("iso_week", engine.iso_week(day), "that date's ISO 8601 week, such as 2026-W47")
    yield ViewColumn("weekday", engine.weekday(day), "1 for Monday to 7 for Sunday")


def ddl_statements(engine: Engine, location: LakeLocation, only: Collection[str] = ()) -> Iterator[str]:
    """Statements that declare all tables and views, or the named ones and what they read. Raises QueryRefused."""
    selected = select(engine, location, only)
    yield from engine.setup_statements(location)
    for table in TABLES:
        if table.name in selected:
            yield from engine.table(table, location)
    yield from view_statements(engine, location, selected)


def view_statements(engine: Engine, location: LakeLocation, selected: Collection[str] | None = None) -> Iterator[str]:
    """Statements that declare the views alone, over tables that already exist; all where `selected` is None."""
    for view in views(engine, location):
        if selected is None or view.name in selected:
            yield from engine.view(view)


def select(engine: Engine, location: LakeLocation, only: Collection[str]) -> set[str]:
    """The names in `only` and all that they read; every table and view where it is empty. Raises QueryRefused."""
    known: dict[str, tuple[str, ...]] = {table.name: () for table in TABLES}
    known |= {view.name: view.needs for view in views(engine, location)}
    found: set[str] = set()
    pending = list(only or known)
    while pending:
        name = pending.pop()
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise QueryRefused(f"there is no table or view {name!r}; {hint}")
        if name not in found:
            found.add(name)
            pending += known[name]
    return found
