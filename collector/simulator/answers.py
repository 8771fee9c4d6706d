"""Reads a request's parameters as the reference page defines them, and finds the buckets that it asks for.

In: the query's parameters, the site they are asked of, the instant of the request. Out: a question, or a refusal whose
text goes into the 400. Source of the rules: the page "GET: App Sessions by Time".

Turns rows into the body of an answer: labels, order, odd points, wrong types.

In: a question and its rows. Out: JSON bytes. Pure but for a cache of bodies, whose keys hold all that a body hangs on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.buckets import date_of, end_of_closed, start_of
from collector.model import MAX_WINDOW, Scope, SeriesKey, Span, Unit
from collector.simulator.options import Boundary, Fault, HourFormat, Order, hash_unit
from collector.simulator.simulation import edges_of
from collector.simulator.sites import UTC_ZONE
from collector.simulator.traffic import hours_of

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
    """What a valid request asks for. The span may reach into the future; nothing is told of that."""

    key: SeriesKey
    span: Span


@dataclass(frozen=True, slots=True)
class BadRequest:
    """Why a request is a 400."""

    message: str


def key_of(unit: Unit, app_id: str | None, segment_id: str | None) -> SeriesKey:
    """The series that these ids name."""
    return SeriesKey(_SCOPES[app_id is not None, segment_id is not None], unit, app_id, segment_id)


def parse_query(
    parameters: Mapping[str, str], site: SimulatedWorkspace, now: datetime, boundary: Boundary
) -> SeriesQuery | BadRequest:
    """The question in the parameters; the first thing wrong with them otherwise. Unknown parameters are ignored."""
    try:
        length = _length(parameters.get("length"))
        unit = _unit(parameters.get("unit", "day"))
        ending = parameters.get("ending_at")
        instant = now if ending is None else read_instant(ending)
        app_id, segment_id = parameters.get("app_id"), parameters.get("segment_id")
        _check_known(site, app_id, segment_id)
    except ValueError as error:
        return BadRequest(str(error))
    last = last_bucket(unit, instant, site.zone, boundary)
    return SeriesQuery(key_of(unit, app_id, segment_id), Span(last + 1 - length, last + 1))


def last_bucket(unit: Unit, instant: datetime, zone: ZoneInfo, boundary: Boundary) -> int:
    """The bucket that a series ending at the instant ends with."""
    bucket = end_of_closed(unit, instant, timedelta(0), zone)  # the one after the newest closed: the instant lies in it
    if boundary is Boundary.EXCLUSIVE and start_of(unit, bucket, zone) == instant:
        return bucket - 1
    return bucket


@lru_cache(maxsize=4096)
def read_instant(text: str) -> datetime:
    """An ISO 8601 instant; without an offset, in UTC. Takes `-5:00` too, as Braze's own examples write it."""
    try:
        instant = datetime.fromisoformat(_ONE_DIGIT_OFFSET.sub(r"\g<1>0\2", text))
    except ValueError:
        raise ValueError("ending_at must be a valid ISO 8601 datetime (a + in a URL is written %2B)") from None
    if instant.year not in _YEARS:
        raise ValueError("ending_at is out of range")
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _length(text: str | None) -> int:
    if text is None:
        raise ValueError("length is required")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_WINDOW):
        raise ValueError("length must be an integer between 1 and 100 inclusive")
    return int(text)


def _unit(text: str) -> Unit:
    try:
        return Unit(text)
    except ValueError:
        raise ValueError('unit must be "day" or "hour"') from None


def _check_known(site: SimulatedWorkspace, app_id: str | None, segment_id: str | None) -> None:
    if app_id is not None and app_id not in site.traffic:
        raise ValueError("app_id is not a valid App API Identifier of this App Group")
    if segment_id is not None and segment_id not in site.segments:
        raise ValueError("segment_id is not a valid Segment API Identifier of this App Group")


Point = dict[str, Any]
"""`time`, `sessions` and what else an answer's point may hold."""

_CACHED_BODIES = 4096
_EXTRA: Final[Point] = {"sessions_estimated": False, "note": None}
"""Fields that no page tells of."""


@lru_cache(maxsize=256)
def time_texts(unit: Unit, hour_format: HourFormat, zone: ZoneInfo) -> Callable[[int], str]:
    """`time_text` of a bucket, for one choice of the rest. Remembered, since dates are slow to write."""
    return lru_cache(maxsize=32768)(lambda bucket: time_text(unit, bucket, hour_format, zone))


def time_text(unit: Unit, bucket: int, hour_format: HourFormat, zone: ZoneInfo) -> str:
    """A bucket's `time`: an ISO date for a day; for an hour ISO 8601 extended, with the suffix that was chosen."""
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
    """Bodies of right answers, remembered for as long as nothing that they hang on changes."""

    def __init__(self) -> None:
        self._known: dict[Hashable, bytes] = {}

    def body(self, simulation: Simulation, site: SimulatedWorkspace, question: SeriesQuery, at: datetime) -> bytes:
        """The body of the answer at the instant."""
        key = (site.name, question, simulation.version, _moment(site, question, at))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _CACHED_BODIES:
                self._known.clear()
            known = self._known[key] = encode(points(simulation, site, question, at))
        return known


def _moment(site: SimulatedWorkspace, question: SeriesQuery, at: datetime) -> Hashable:
    """What of the instant the answer hangs on: its day where all buckets are closed, else the instant itself."""
    now = hours_of(at)
    last = Span(question.span.stop, question.span.stop)
    closed = edges_of(question.key.unit, last, site)[0] <= now
    return site.step(now) if closed else at


def encode(data: list[Point]) -> bytes:
    """A success with these points."""
    return orjson.dumps({"message": "success", "data": data})


def points(simulation: Simulation, site: SimulatedWorkspace, question: SeriesQuery, at: datetime) -> list[Point]:
    """The points of the answer, in the order that was chosen."""
    options = simulation.options
    unit = question.key.unit
    rows = simulation.site_rows(site, question.key, question.span, at)
    if options.order is Order.SHUFFLED:
        rows.sort(key=lambda row: hash_unit(options.seed, "order", site.name, question, row[0]))
    time_of = time_texts(unit, options.hour_format, site.workspace.timezone)
    plain: list[Point] = [{"time": time_of(bucket), "sessions": sessions} for bucket, sessions in rows]
    return [point | _EXTRA for point in plain] if options.extra_fields else plain


def apply_fault(
    fault: Fault, data: list[Point], simulation: Simulation, site: SimulatedWorkspace, question: SeriesQuery
) -> bytes:
    """The body of an answer that this fault has changed. Where there is no point to change, the answer stays right."""
    if fault is Fault.NO_DATA:
        return orjson.dumps({"message": "success"})
    if fault is Fault.NOT_SUCCESS:
        return orjson.dumps({"message": "The export could not be completed", "data": data})
    if fault in (Fault.OUTSIDE, Fault.ELSEWHERE):
        strangers = _outside(simulation, site, question)
        return encode(strangers if fault is Fault.ELSEWHERE else [*strangers, *data])
    if not data:
        return encode(data)
    return encode([_SPOILERS[fault](data[0]), *data[1:]] if fault in _SPOILERS else _twice(fault, data))


def _outside(simulation: Simulation, site: SimulatedWorkspace, question: SeriesQuery) -> list[Point]:
    span, options = question.span, simulation.options
    time_of = time_texts(question.key.unit, options.hour_format, site.workspace.timezone)
    return [{"time": time_of(bucket), "sessions": 7} for bucket in (span.first - 2, span.first - 1, span.stop + 1)]


def _twice(fault: Fault, data: list[Point]) -> list[Point]:
    last = data[-1]
    return [*data, last | {"sessions": last["sessions"] + 1} if fault is Fault.CONFLICT else last]


def _off_bucket(point: Point) -> Point:
    time = str(point["time"])
    # An hour goes to its half; a day, which has no half, becomes an instant within it.
    return point | {"time": time.replace(":00", ":30", 1) if "T" in time else f"{time}T00:30:00"}


_SPOILERS: Final[dict[Fault, Callable[[Point], Point]]] = {
    Fault.FRACTIONAL: lambda point: point | {"sessions": point["sessions"] + 0.5},
    Fault.NEGATIVE: lambda point: point | {"sessions": -1 - int(point["sessions"])},
    Fault.TEXT: lambda point: point | {"sessions": str(point["sessions"])},
    Fault.OFF_BUCKET: _off_bucket,
}
"""What each of these faults does to the first point of an answer."""
