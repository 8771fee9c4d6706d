"""From a request's parameters to a query, and from a query to the body of the answer.

In: parameters, a workspace and the instant of the request. Out: JSON bytes, or a `BadRequest` whose text goes into the
400. Source of the rules: the pages of the series. Nothing but a cache of bodies keeps state here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.buckets import date_of, end_of_closed, start_of
from collector.metrics import DEFAULT_METRICS, METRICS, Metric, ValueType
from collector.model import MAX_WINDOW, Scope, SeriesKey, Span, Unit
from collector.simulator.options import Boundary, Fault, HourFormat, Order, hash_unit
from collector.simulator.simulation import edges_of
from collector.simulator.sites import UTC_ZONE
from collector.simulator.traffic import MEASURES, hours_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from zoneinfo import ZoneInfo

    from collector.simulator.simulation import Simulation
    from collector.simulator.sites import SimulatedWorkspace


_ONE_DIGIT_OFFSET = re.compile(r"([+-])(\d:\d\d)$")
_YEARS = range(1971, 9990)
_SCOPES = {
    (True, False): Scope.APP,
    (True, True): Scope.APP_SEGMENT,
    (False, False): Scope.WORKSPACE,
    (False, True): Scope.WORKSPACE_SEGMENT,
}


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """The series and buckets of a valid request. The span may reach into the future, which has no points."""

    key: SeriesKey
    span: Span


@dataclass(frozen=True, slots=True)
class BadRequest:
    """Why a request is a 400."""

    message: str


def key_of(
    unit: Unit, app_id: str | None, segment_id: str | None, metric: str = DEFAULT_METRICS[0], event: str | None = None
) -> SeriesKey:
    """The series of an app and a segment; None means all apps, or all users."""
    return SeriesKey(metric, _SCOPES[app_id is not None, segment_id is not None], unit, app_id, segment_id, event)


def parse_query(
    parameters: Mapping[str, str],
    workspace: SimulatedWorkspace,
    now: datetime,
    boundary: Boundary,
    metric: Metric = METRICS[DEFAULT_METRICS[0]],
) -> SeriesQuery | BadRequest:
    """Parse query parameters. The first error found becomes a `BadRequest`. Unknown parameters are ignored."""
    try:
        length = _parse_length(parameters.get("length"))
        unit = _parse_unit(parameters.get("unit", "day")) if len(metric.units) > 1 else metric.units[0]
        ending = parameters.get("ending_at")
        instant = now if ending is None else parse_instant(ending)
        # A parameter that the path does not have is ignored, as any other unknown one is.
        app_id = parameters.get("app_id") if any(scope.has_app for scope in metric.scopes) else None
        segment_id = parameters.get("segment_id") if any(scope.has_segment for scope in metric.scopes) else None
        event = parameters.get("event") if metric.has_events else None
        _check_known(workspace, app_id, segment_id)
        _check_required(metric, event, segment_id)
    except ValueError as error:
        return BadRequest(str(error))
    last = last_bucket(unit, instant, workspace.zone, boundary)
    return SeriesQuery(key_of(unit, app_id, segment_id, metric.name, event), Span(last + 1 - length, last + 1))


def last_bucket(unit: Unit, instant: datetime, zone: ZoneInfo, boundary: Boundary) -> int:
    """The last bucket of a series whose `ending_at` is this instant."""
    # With no time to settle, that is the bucket which contains the instant.
    bucket = end_of_closed(unit, instant, timedelta(0), zone)
    if boundary is Boundary.EXCLUSIVE and start_of(unit, bucket, zone) == instant:
        return bucket - 1
    return bucket


@lru_cache(maxsize=4096)
def parse_instant(text: str) -> datetime:
    """Parse an ISO 8601 instant; UTC if it has no offset. Accepts `-5:00`, which Braze's own examples use."""
    try:
        instant = datetime.fromisoformat(_ONE_DIGIT_OFFSET.sub(r"\g<1>0\2", text))
    except ValueError:
        raise ValueError("ending_at must be a valid ISO 8601 datetime (a + in a URL is written %2B)") from None
    if instant.year not in _YEARS:
        raise ValueError("ending_at is out of range")
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _parse_length(text: str | None) -> int:
    if text is None:
        raise ValueError("length is required")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_WINDOW):
        raise ValueError("length must be an integer between 1 and 100 inclusive")
    return int(text)


def _parse_unit(text: str) -> Unit:
    try:
        return Unit(text)
    except ValueError:
        raise ValueError('unit must be "day" or "hour"') from None


def _check_known(workspace: SimulatedWorkspace, app_id: str | None, segment_id: str | None) -> None:
    if app_id is not None and app_id not in workspace.traffic:
        raise ValueError("app_id is not a valid App API Identifier of this App Group")
    if segment_id is not None and segment_id not in workspace.segments:
        raise ValueError("segment_id is not a valid Segment API Identifier of this App Group")


def _check_required(metric: Metric, event: str | None, segment_id: str | None) -> None:
    if metric.has_events and event is None:
        raise ValueError("event is required")
    if metric.needs_segments and segment_id is None:
        raise ValueError("segment_id is required")


Point = dict[str, Any]
"""One point of an answer: `time`, the value and possibly other fields."""

_CACHED_BODIES = 4096
_EXTRA_FIELDS: Final[Point] = {"sessions_estimated": False, "note": None}
"""Undocumented fields."""


@lru_cache(maxsize=256)
def time_texts(unit: Unit, hour_format: HourFormat, zone: ZoneInfo) -> Callable[[int], str]:
    """A cached function from bucket to `time`. Without the cache, formatting dates would dominate an answer."""
    return lru_cache(maxsize=32768)(lambda bucket: time_text(unit, bucket, hour_format, zone))


def time_text(unit: Unit, bucket: int, hour_format: HourFormat, zone: ZoneInfo) -> str:
    """A bucket's `time`: an ISO date for a day; for an hour, ISO 8601 extended in the chosen format."""
    if unit is Unit.DAY:
        return date_of(bucket).isoformat()
    instant = start_of(unit, bucket, UTC_ZONE)
    match hour_format:
        case HourFormat.NAIVE:
            return f"{instant:%Y-%m-%dT%H:%M:%S}"
        case HourFormat.NAIVE_LOCAL:
            return f"{instant.astimezone(zone):%Y-%m-%dT%H:%M:%S}"
        case HourFormat.Z:
            return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
        case HourFormat.FRACTION:
            return f"{instant:%Y-%m-%dT%H:%M:%S.000Z}"
        case HourFormat.LOCAL_OFFSET:
            return instant.astimezone(zone).isoformat()
        case HourFormat.OFFSET:
            return instant.isoformat()


class BodyCache:
    """Caches the bodies of correct answers. A key holds everything that the body depends on."""

    def __init__(self) -> None:
        self._bodies: dict[Hashable, bytes] = {}

    def body(self, simulation: Simulation, workspace: SimulatedWorkspace, query: SeriesQuery, at: datetime) -> bytes:
        """The body of the answer at the instant."""
        key = (workspace.name, query, simulation.version, _cache_instant(workspace, query, at))
        body = self._bodies.get(key)
        if body is None:
            if len(self._bodies) >= _CACHED_BODIES:
                self._bodies.clear()
            body = self._bodies[key] = encode(points_of(simulation, workspace, query, at))
        return body


def _cache_instant(workspace: SimulatedWorkspace, query: SeriesQuery, at: datetime) -> Hashable:
    """The part of the instant that the answer depends on.

    Closed buckets change only when late sessions arrive, once a reporting day; an open bucket changes all the time.
    """
    now = hours_of(at)
    # An empty span: its only edge is the end of the query's last bucket.
    end = Span(query.span.stop, query.span.stop)
    closed = edges_of(query.key.unit, end, workspace)[0] <= now
    return workspace.reporting_day(now) if closed else at


def encode(data: list[Point]) -> bytes:
    """The body of a success with these points."""
    return orjson.dumps({"message": "success", "data": data})


def points_of(simulation: Simulation, workspace: SimulatedWorkspace, query: SeriesQuery, at: datetime) -> list[Point]:
    """The points of the answer, in the chosen order."""
    options = simulation.options
    unit = query.key.unit
    rows = simulation.workspace_rows(workspace, query.key, query.span, at)
    if options.order is Order.SHUFFLED:
        # By a hash, so that the same request is always answered in the same order.
        rows.sort(key=lambda row: hash_unit(options.seed, "order", workspace.name, query, row[0]))
    time_of = time_texts(unit, options.hour_format, workspace.config.timezone)
    field, as_float = METRICS[query.key.metric].field, MEASURES[query.key.metric].as_float
    plain: list[Point] = [
        {"time": time_of(bucket), field: float(value) if as_float and value else value} for bucket, value in rows
    ]
    return [point | _EXTRA_FIELDS for point in plain] if options.extra_fields else plain


def apply_fault(
    fault: Fault, data: list[Point], simulation: Simulation, workspace: SimulatedWorkspace, query: SeriesQuery
) -> bytes:
    """The body of the answer, changed by a fault. An answer without points stays correct if the fault needs one."""
    if fault is Fault.NO_DATA:
        return orjson.dumps({"message": "success"})
    if fault is Fault.NOT_SUCCESS:
        return orjson.dumps({"message": "The export could not be completed", "data": data})
    if fault in (Fault.OUTSIDE, Fault.ELSEWHERE):
        outside = _points_outside(simulation, workspace, query)
        return encode(outside if fault is Fault.ELSEWHERE else [*outside, *data])
    if not data:
        return encode(data)
    field = METRICS[query.key.metric].field
    if fault in _POINT_FAULTS:
        return encode([_POINT_FAULTS[fault](data[0], field), *data[1:]])
    return encode(_repeated(fault, data, field))


def _points_outside(simulation: Simulation, workspace: SimulatedWorkspace, query: SeriesQuery) -> list[Point]:
    span, options = query.span, simulation.options
    time_of = time_texts(query.key.unit, options.hour_format, workspace.config.timezone)
    field = METRICS[query.key.metric].field
    return [{"time": time_of(bucket), field: 7} for bucket in (span.first - 2, span.first - 1, span.stop + 1)]


def _repeated(fault: Fault, data: list[Point], field: str) -> list[Point]:
    last = data[-1]
    return [*data, last | {field: last[field] + 1} if fault is Fault.CONFLICT else last]


def _off_bucket(point: Point, _field: str) -> Point:
    time = str(point["time"])
    # An hour becomes its half hour; a day becomes an instant within the day.
    return point | {"time": time.replace(":00", ":30", 1) if "T" in time else f"{time}T00:30:00"}


_AMOUNTS = {metric.field for metric in METRICS.values() if metric.type is ValueType.FLOAT}


def _fractional(value: float, field: str) -> object:
    """Half a count. Amounts have fractions: of these, nothing is what is no number."""
    return None if field in _AMOUNTS else value + 0.5


def _negative(value: float, field: str) -> float:
    """A count below 0. Amounts may be negative, as refunds are: of these, one that 53 bits do not hold."""
    return -1e300 if field in _AMOUNTS else -1 - int(value)


_POINT_FAULTS: Final[dict[Fault, Callable[[Point, str], Point]]] = {
    Fault.FRACTIONAL: lambda point, field: point | {field: _fractional(point[field], field)},
    Fault.NEGATIVE: lambda point, field: point | {field: _negative(point[field], field)},
    Fault.TEXT: lambda point, field: point | {field: str(point[field])},
    Fault.OFF_BUCKET: _off_bucket,
}
"""How each of these faults changes the first point of an answer."""
