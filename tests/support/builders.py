"""Values for tests, with defaults: a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from collector.buckets import day_number
from collector.config.settings import App, Secret, Segment, Workspace
from collector.model import Scope, Series, SeriesKey, Span, Unit

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)


def make_workspace(**given: Any) -> Workspace:
    """A workspace `acme` in UTC with the app ios, collected by day, from 2026-11-01 on."""
    values: dict[str, Any] = {
        "name": "acme",
        "endpoint": "http://127.0.0.1:1",
        "timezone": ZoneInfo("UTC"),
        "api_key": Secret("key-of-acme"),
        "apps": (App("ios", "id-ios"),),
        "units": (Unit.DAY,),
        "scopes": (Scope.APP,),
        "start": date(2026, 11, 1),
    }
    return Workspace(**{**values, **given})


def make_series(unit: Unit = Unit.DAY, app: str = "ios", segment: str | None = None) -> Series:
    """A series of `acme`, whose ids are `id-` and its names."""
    scope = Scope.APP_SEGMENT if segment else Scope.APP
    key = SeriesKey("sessions", scope, unit, f"id-{app}", f"id-{segment}" if segment else None)
    return Series("acme", key, app, segment)


def make_segment(name: str, **given: Any) -> Segment:
    """A segment whose id is `id-` and its name."""
    return Segment(name, f"id-{name}", **given)


def days(first: str, last: str) -> Span:
    """The day buckets from the first date to the last one."""
    return Span(day_number(date.fromisoformat(first)), day_number(date.fromisoformat(last)) + 1)
