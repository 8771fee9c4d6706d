"""A body as points in the window asked for. Pure, and total: points come out, or `AskAgainError` with the reason.

Each point is placed by its own `time`, never by its position. A body that is not what the reference page promises is no
answer, and never zero rows.

Two ways lead through. All series of a span are asked for one after another, so their answers bear the same times to the
letter: such a body is compared with the last, in a few passes over whole lists. Any other is read point by point. The
first gives up on any doubt, so only the second needs to know what is wrong.

The text of a point's `time` as a bucket number. Pure.

Reference page: an ISO 8601 date for days, "ISO 8601 extended" for hours. The suffix of an hour is not documented, so
all that can be read in one way only is accepted: `Z`, an offset, or none (then `naive_hours` of the config says how).
"""

from __future__ import annotations

import re
from array import array
from datetime import UTC, date, datetime, timedelta, timezone
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from collector.api.errors import RetryableError
from collector.buckets import EPOCH, day_number
from collector.config.settings import NaiveHours
from collector.model import Span, Unit, Window
from collector.redaction import quote_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo


_MOST_SESSIONS = 2**63 - 1
_MOST_KNOWN_TIMES = 8192
_TIME, _SESSIONS = itemgetter("time"), itemgetter("sessions")


class Points(NamedTuple):
    """What an answer holds of its window: buckets ascending, each once; `sessions` runs in parallel.

    A whole answer's `buckets` are a range, and sessions lie in an array: thousands of answers wait for the journal.
    `warning` is what the server put into `errors` beside its success, as it came.
    """

    buckets: Sequence[int]
    sessions: Sequence[int]
    warning: str | None = None


class Decoder:
    """Decodes the answers of one workspace. Remembers what times it has read, since every series repeats them."""

    def __init__(self, zone: ZoneInfo, naive_hours: NaiveHours) -> None:
        self._zone = zone
        self._naive_hours = naive_hours
        self._known: dict[Unit, dict[str, int]] = {unit: {} for unit in Unit}
        self._usual: dict[Unit, tuple[Span, list[str], range]] = {}

    def decode(self, body: bytes, window: Window) -> Points:
        """The points of the window; those outside it are dropped, and an empty `data` is a valid answer.

        Raises:
            AskAgainError: where the body is no answer to the window, with the reason. What it quotes is whole, and may
                hold the key: cutting it is the redactor's.

        """
        answer = _parse(body)
        data: list[Any] = answer["data"]
        errors = answer.get("errors")
        warning = quote_json(errors) if errors else None
        return self._as_usual(data, window, warning) or self._point_by_point(data, window, warning)

    def _as_usual(self, data: list[Any], window: Window, warning: str | None) -> Points | None:
        """The points, where their times are to the letter those of the last whole answer to the same span."""
        usual = self._usual.get(window.series.key.unit)
        if usual is None or usual[0] != window.span:
            return None
        try:
            if list(map(_TIME, data)) != usual[1]:
                return None
            sessions = list(map(_SESSIONS, data))
            if set(map(type, sessions)) != {int} or min(sessions) < 0:
                return None
            return Points(usual[2], array("q", sessions), warning)
        except (KeyError, TypeError, OverflowError):
            return None

    def _point_by_point(self, data: list[Any], window: Window, warning: str | None) -> Points:
        unit, span = window.series.key.unit, window.span
        buckets, sessions = [], []
        for point in data:
            if not isinstance(point, dict):
                raise RetryableError("the reply is no answer: a point is not an object")
            buckets.append(self._bucket(point, unit))
            sessions.append(_sessions(point))
        whole = range(span.first, span.stop)
        if buckets == list(whole):
            self._usual[unit] = (span, [point["time"] for point in data], whole)
            return Points(whole, array("q", sessions), warning)
        return _placed(buckets, sessions, span, warning)

    def _bucket(self, point: dict[str, Any], unit: Unit) -> int:
        text = point.get("time")
        if not isinstance(text, str):
            raise RetryableError("the reply is no answer: a point's time is missing or no text")
        known = self._known[unit]
        if text not in known:
            if len(known) >= _MOST_KNOWN_TIMES:
                known.clear()
            try:
                known[text] = bucket_of(unit, text, self._zone, self._naive_hours)
            except ValueError as why:
                raise RetryableError(f"the reply is no answer: the time of a point: {why}: '{text}'") from why
        return known[text]


def decode(body: bytes, window: Window, zone: ZoneInfo, naive_hours: NaiveHours) -> Points:
    """One answer decoded, for those who have one only."""
    return Decoder(zone, naive_hours).decode(body, window)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except ValueError as error:
        if not body.strip():
            what = "its body is empty"
        elif body.lstrip()[:1] == b"<":
            what = "it is a page of HTML"
        else:
            what = f"it is no JSON, or cut off ({error})"
        raise RetryableError(f"the reply is no answer: {what}") from error
    if not isinstance(answer, dict):
        raise RetryableError("the reply is no answer: its JSON is not an object")
    if answer.get("message") != "success":
        said = quote_json(answer.get("message"))
        raise RetryableError(f"the reply is no answer: its message is not 'success' but '{said}'")
    if not isinstance(answer.get("data"), list):
        raise RetryableError("the reply is no answer: it has no list 'data'")
    return answer


def _sessions(point: dict[str, Any]) -> int:
    sessions = point.get("sessions")
    if type(sessions) is not int:
        raise RetryableError("the reply is no answer: a point's sessions are missing or no whole number")
    if not 0 <= sessions <= _MOST_SESSIONS:
        raise RetryableError(f"the reply is no answer: a point has {sessions} sessions")
    return sessions


def _placed(buckets: list[int], sessions: list[int], span: Span, warning: str | None) -> Points:
    """The points inside the span, in order, each bucket once."""
    placed: dict[int, int] = {}
    for bucket, count in zip(buckets, sessions, strict=True):
        if bucket in span and placed.setdefault(bucket, count) != count:
            raise RetryableError("the reply is no answer: one bucket stands in it twice, with different counts")
    if buckets and not placed:
        raise RetryableError("the reply is no answer: none of its points lies in the window asked for")
    ordered = sorted(placed)
    return Points(ordered, array("q", [placed[bucket] for bucket in ordered]), warning)


_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_HOUR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)"
    r"(?::(\d\d)(?:[.,](\d{1,12}))?)?"
    r"(?:(Z)|([+-])(?:(\d\d?):(\d\d)|(\d\d)(\d\d)))?",
    re.ASCII,
)
_ONE_HOUR = timedelta(hours=1)


def bucket_of(unit: Unit, text: str, zone: ZoneInfo, naive_hours: NaiveHours) -> int:
    """The bucket that the text names.

    Raises:
        ValueError: with the reason, where it names none, or none for certain.

    """
    try:
        return _day(text) if unit is Unit.DAY else _hour(text, zone, naive_hours)
    except OverflowError:
        raise ValueError("it lies outside the calendar") from None


def _day(text: str) -> int:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("it is no date such as 2026-11-01")
    year, month, day = match.groups()
    return day_number(date(int(year), int(month), int(day)))


def _hour(text: str, zone: ZoneInfo, naive_hours: NaiveHours) -> int:
    match = _HOUR.fullmatch(text)
    if match is None:
        raise ValueError("it is no hour such as 2026-11-01T05:00:00Z")
    year, month, day, hour, minute, second, fraction, *suffix = match.groups()
    if fraction is not None and int(fraction):
        raise ValueError("it lies on no whole hour")
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC)
    bucket, beyond = divmod(_instant(local, suffix, zone, naive_hours) - EPOCH, _ONE_HOUR)
    if beyond:
        raise ValueError("it lies on no whole hour")
    return bucket


def _instant(local: datetime, suffix: list[str | None], zone: ZoneInfo, naive_hours: NaiveHours) -> datetime:
    """The wall-clock reading with its zone: the suffix's own, else the one that the config tells."""
    zulu, sign, *digits = suffix
    if sign is not None:
        hours, minutes = (int(text) for text in digits if text is not None)
        offset = timedelta(hours=hours, minutes=minutes)
        if minutes >= 60 or offset >= timedelta(days=1):
            raise ValueError("its offset is none")
        return local.replace(tzinfo=timezone(-offset if sign == "-" else offset))
    if zulu is not None or naive_hours is NaiveHours.UTC:
        return local
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        raise ValueError(f"without an offset it names two hours of {zone.key}, or none")
    return first
