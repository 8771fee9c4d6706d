"""Reads a request's parameters as the reference page defines them, and finds the buckets that it asks for.

In: the query's parameters, the site they are asked of, the instant of the request. Out: a question, or a refusal whose
text goes into the 400. Source of the rules: the page "GET: App Sessions by Time".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from collector.calendar import closed_stop, start_of
from collector.model import MAX_WINDOW, Scope, SeriesKey, Span, Unit
from collector.simulator.options import Boundary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from collector.simulator.sites import Site

_ONE_DIGIT_OFFSET = re.compile(r"([+-])(\d:\d\d)$")
_YEARS = range(1971, 9990)
_SCOPES = {
    (True, False): Scope.APP,
    (True, True): Scope.APP_SEGMENT,
    (False, False): Scope.WORKSPACE,
    (False, True): Scope.WORKSPACE_SEGMENT,
}


@dataclass(frozen=True, slots=True)
class Question:
    """What a valid request asks for. The span may reach into the future; nothing is told of that."""

    key: SeriesKey
    span: Span


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is a 400."""

    message: str


def key_of(unit: Unit, app_id: str | None, segment_id: str | None) -> SeriesKey:
    """The series that these ids name."""
    return SeriesKey(_SCOPES[app_id is not None, segment_id is not None], unit, app_id, segment_id)


def read_question(parameters: Mapping[str, str], site: Site, now: datetime, boundary: Boundary) -> Question | Refusal:
    """The question in the parameters; the first thing wrong with them otherwise. Unknown parameters are ignored."""
    try:
        length = _length(parameters.get("length"))
        unit = _unit(parameters.get("unit", "day"))
        ending = parameters.get("ending_at")
        instant = now if ending is None else read_instant(ending)
        app_id, segment_id = parameters.get("app_id"), parameters.get("segment_id")
        _check_known(site, app_id, segment_id)
    except ValueError as error:
        return Refusal(str(error))
    last = last_bucket(unit, instant, site.zone, boundary)
    return Question(key_of(unit, app_id, segment_id), Span(last + 1 - length, last + 1))


def last_bucket(unit: Unit, instant: datetime, zone: ZoneInfo, boundary: Boundary) -> int:
    """The bucket that a series ending at the instant ends with."""
    bucket = closed_stop(unit, instant, timedelta(0), zone)  # the one after the newest closed: the instant lies in it
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


def _check_known(site: Site, app_id: str | None, segment_id: str | None) -> None:
    if app_id is not None and app_id not in site.traffic:
        raise ValueError("app_id is not a valid App API Identifier of this App Group")
    if segment_id is not None and segment_id not in site.segments:
        raise ValueError("segment_id is not a valid Segment API Identifier of this App Group")
