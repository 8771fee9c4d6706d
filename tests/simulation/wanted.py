"""Which buckets are wanted, closed and due, by CONTRACT section 1 in its simplest form: one bucket at a time.

In: a workspace's config and an instant. Out: plain sets of buckets. With the calendar of
`model.py`, it shares nothing with the collector's plan, coverage and buckets.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count, takewhile
from typing import TYPE_CHECKING, NamedTuple

from collector.model import SeriesKey, Unit
from tests.simulation.model import key_of, midnight, start

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from zoneinfo import ZoneInfo

    from collector.config.settings import App, Segment, Workspace

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NIGHT = {Unit.DAY: 1, Unit.HOUR: 26}


class Declared(NamedTuple):
    """A series that the config declares; its first and last wanted local dates, both included (None: open)."""

    key: SeriesKey
    start: date | None
    end: date | None


def declared_series(workspace: Workspace) -> Iterator[Declared]:
    """Every series that the config declares."""
    for scope in workspace.scopes:
        for app in workspace.apps if scope.has_app else (None,):
            for segment in workspace.segments if scope.has_segment else (None,):
                if app and segment and app.segments is not None and segment.name not in app.segments:
                    continue
                for unit in workspace.units:
                    ids = {"app_id": app.id if app else None, "segment_id": segment.id if segment else None}
                    yield Declared(key_of({"scope": scope, "unit": unit, **ids}), *_dates(workspace, app, segment))


def _dates(workspace: Workspace, app: App | None, segment: Segment | None) -> tuple[date | None, date | None]:
    """An app's or a segment's own date wins over the workspace's; where both have one, both hold."""
    starts = [one.start for one in (app, segment) if one and one.start]
    ends = [one.end for one in (app, segment) if one and one.end]
    return max(starts, default=workspace.start), min(ends, default=workspace.end)


def wanted(declared: Declared, workspace: Workspace, covered: Iterable[int], now: datetime) -> set[int]:
    """The closed buckets that the config wants of a series, of which these are covered, or were until it was voided."""
    unit, zone = declared.key.unit, workspace.timezone
    if declared.start is None:
        first = min([*covered, newest_closed(unit, workspace, now) - workspace.lookback[unit] + 1])
    else:
        first = first_of(unit, declared.start, zone)
    buckets = takewhile(lambda bucket: is_closed(unit, bucket, workspace, now), count(first))
    return {bucket for bucket in buckets if declared.end is None or local_date(unit, bucket, zone) <= declared.end}


def looked_back(unit: Unit, workspace: Workspace, now: datetime) -> set[int]:
    """The buckets of the lookback: so many of the newest closed ones."""
    newest = newest_closed(unit, workspace, now)
    return {newest - age for age in range(workspace.lookback[unit])}


def newest_settled(workspace: Workspace, unit: Unit, at: datetime) -> int:
    """The newest bucket that an answer of this instant settles."""
    return newest_closed(unit, workspace, at) - max(0, workspace.lookback[unit] - _NIGHT[unit])


def is_closed(unit: Unit, bucket: int, workspace: Workspace, now: datetime) -> bool:
    """Whether the bucket's end, and `settle` after it, have passed."""
    return start(unit, bucket + 1, workspace.timezone) + workspace.settle <= now


def newest_closed(unit: Unit, workspace: Workspace, now: datetime) -> int:
    """The newest closed bucket."""
    # Nothing that starts two days from now is closed.
    ahead = (now + timedelta(days=2) - EPOCH) // (timedelta(days=1) if unit is Unit.DAY else timedelta(hours=1))
    return next(bucket for bucket in count(ahead, -1) if is_closed(unit, bucket, workspace, now))


def first_of(unit: Unit, day: date, zone: ZoneInfo) -> int:
    """The day's own bucket, or its first hour: that which starts at its midnight, or is the first after it."""
    number = (day - EPOCH.date()).days
    if unit is Unit.DAY:
        return number
    return next(hour for hour in count(24 * number - 48) if start(unit, hour, zone) >= midnight(day, zone))


def local_date(unit: Unit, bucket: int, zone: ZoneInfo) -> date:
    """The local date that a bucket is of: an hour is of the date in which it starts."""
    if unit is Unit.DAY:
        return EPOCH.date() + timedelta(days=bucket)
    return start(unit, bucket, zone).astimezone(zone).date()
