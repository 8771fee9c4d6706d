"""Turns rows into the body of an answer: labels, order, odd points, wrong types.

In: a question and its rows. Out: JSON bytes. Pure but for a cache of bodies, whose keys hold all that a body hangs on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.calendar import date_of, start_of
from collector.model import Span, Unit
from collector.simulator.chance import chance
from collector.simulator.faults import Fault
from collector.simulator.options import HourFormat, Order
from collector.simulator.simulation import edges_of
from collector.simulator.sites import UTC_ZONE
from collector.simulator.traffic import hours_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from collector.simulator.questions import Question
    from collector.simulator.simulation import Simulation
    from collector.simulator.sites import Site

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


class Bodies:
    """Bodies of right answers, remembered for as long as nothing that they hang on changes."""

    def __init__(self) -> None:
        self._known: dict[Hashable, bytes] = {}

    def body(self, simulation: Simulation, site: Site, question: Question, at: datetime) -> bytes:
        """The body of the answer at the instant."""
        key = (site.name, question, simulation.version, _moment(site, question, at))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _CACHED_BODIES:
                self._known.clear()
            known = self._known[key] = encode(points(simulation, site, question, at))
        return known


def _moment(site: Site, question: Question, at: datetime) -> Hashable:
    """What of the instant the answer hangs on: its day where all buckets are closed, else the instant itself."""
    now = hours_of(at)
    last = Span(question.span.stop, question.span.stop)
    closed = edges_of(question.key.unit, last, site)[0] <= now
    return site.step(now) if closed else at


def encode(data: list[Point]) -> bytes:
    """A success with these points."""
    return orjson.dumps({"message": "success", "data": data})


def points(simulation: Simulation, site: Site, question: Question, at: datetime) -> list[Point]:
    """The points of the answer, in the order that was chosen."""
    options = simulation.options
    unit = question.key.unit
    rows = simulation.site_rows(site, question.key, question.span, at)
    if options.order is Order.SHUFFLED:
        rows.sort(key=lambda row: chance(options.seed, "order", site.name, question, row[0]))
    time_of = time_texts(unit, options.hour_format, site.workspace.timezone)
    plain: list[Point] = [{"time": time_of(bucket), "sessions": sessions} for bucket, sessions in rows]
    return [point | _EXTRA for point in plain] if options.extra_fields else plain


def spoil(fault: Fault, data: list[Point], simulation: Simulation, site: Site, question: Question) -> bytes:
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


def _outside(simulation: Simulation, site: Site, question: Question) -> list[Point]:
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
