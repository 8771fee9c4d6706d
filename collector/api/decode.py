"""From a response body to the points of the requested window. Pure: points come out, or RetryableError with the reason.

Each point is placed by its own `time`, never by its position. A body that is not what the reference page promises is
not an answer, and never zero rows.

There are two ways. All series of a span are requested one after another, so their answers have exactly the same times:
such a body is compared with the last one, in a few passes over complete lists. Any other body is read point by point.
The first way gives up on any doubt, so only the second has to say what is wrong.

Reference page: a `time` is an ISO 8601 date for days, "ISO 8601 extended" for hours. The suffix of an hour is not
documented, so everything that can be read in only one way is accepted: `Z`, an offset, or none (then `naive_hours` of
the config says how).
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
from collector.metrics import METRICS, Metric, ValueType
from collector.model import Span, Unit, Window
from collector.redaction import quote_json, withhold_codes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo


_MAX_VALUE = 2**53
"""The largest integer up to which a float64, as which the lake keeps restated values, has every integer."""

_MAX_KNOWN_TIMES = 8192
_TIME = itemgetter("time")
_FIELDS = {name: itemgetter(metric.field) for name, metric in METRICS.items()}


class Points(NamedTuple):
    """The points of a window: buckets ascending, each once, with `values` in parallel.

    The `buckets` of a complete answer are a range, and `values` is an array (of integers, or of floats), since
    thousands of answers wait in memory for the journal. `warning` is what the server put into `errors` beside its
    success, unredacted.
    """

    buckets: Sequence[int]
    values: Sequence[float]
    warning: str | None = None


class Decoder:
    """Decodes the answers of one workspace. Times are remembered once read, since every series repeats them."""

    def __init__(self, zone: ZoneInfo, naive_hours: NaiveHours) -> None:
        self._zone = zone
        self._naive_hours = naive_hours
        # One dictionary for each unit: a text must not be found that was read as the other unit. `_last_complete` has
        # the span, its times as text and its buckets, for the newest complete answer: the plan requests all series of a
        # span before it goes to the next, so one is enough.
        self._known: dict[Unit, dict[str, int]] = {unit: {} for unit in Unit}
        self._last_complete: dict[Unit, tuple[Span, list[str], range]] = {}

    def decode(self, body: bytes, window: Window) -> Points:
        """The points of the window; those outside it are dropped, and an empty `data` is a valid answer.

        Raises:
            RetryableError: where the body is not an answer to the window, with the reason. What it quotes is uncut and
                may hold the key: redacting it is the caller's part.

        """
        answer = _parse(body)
        data: list[Any] = answer["data"]
        errors = answer.get("errors")
        warning = withhold_codes(quote_json(errors)) if errors else None
        # A tuple with members is never falsy, so `or` goes on only where the first way gave up.
        return self._decode_fast(data, window, warning) or self._decode_points(data, window, warning)

    def _decode_fast(self, data: list[Any], window: Window, warning: str | None) -> Points | None:
        """The points, where their times are exactly those of the last complete answer to the span; else None."""
        last = self._last_complete.get(window.series.key.unit)
        if last is None or last[0] != window.span:
            return None
        try:
            # The same texts in the same order are the same buckets, each once and all in the span: only the counts are
            # left to check. `bool` is a subclass of int, so types are compared exactly. A point that is not an object
            # raises here, and the second way reports it.
            if list(map(_TIME, data)) != last[1]:
                return None
            name = window.series.key.metric
            values = list(map(_FIELDS[name], data))
            if METRICS[name].type is ValueType.FLOAT:
                amounts = set(map(type, values)) <= {int, float} and max(map(abs, values)) <= _MAX_VALUE
                return Points(last[2], array("d", values), warning) if amounts else None
            if set(map(type, values)) != {int} or min(values) < 0 or max(values) > _MAX_VALUE:
                return None
            return Points(last[2], array("q", values), warning)
        except (KeyError, TypeError, OverflowError):
            return None

    def _decode_points(self, data: list[Any], window: Window, warning: str | None) -> Points:
        unit, span = window.series.key.unit, window.span
        metric = METRICS[window.series.key.metric]
        buckets, values = [], []
        for point in data:
            if not isinstance(point, dict):
                raise RetryableError("invalid response: a point is not an object")
            buckets.append(self._bucket(point, unit))
            values.append(_value(point, metric))
        # Complete and in order: only such an answer may have a range as its buckets, and serve as the one to compare
        # with.
        complete = range(span.first, span.stop)
        if buckets == list(complete):
            self._last_complete[unit] = (span, [point["time"] for point in data], complete)
            return Points(complete, _array(metric, values), warning)
        return _placed(metric, buckets, values, span)._replace(warning=warning)

    def _bucket(self, point: dict[str, Any], unit: Unit) -> int:
        text = point.get("time")
        if not isinstance(text, str):
            raise RetryableError("invalid response: the time of a point is missing, or is not text")
        known = self._known[unit]
        if text not in known:
            # A server that sends other texts each time must not fill the memory.
            if len(known) >= _MAX_KNOWN_TIMES:
                known.clear()
            try:
                known[text] = bucket_of(unit, text, self._zone, self._naive_hours)
            except ValueError as why:
                shown = text if _LIKE_A_TIME.fullmatch(text) else withhold_codes(text)
                raise RetryableError(f"invalid response: the time '{shown}' of a point {why}") from why
        return known[text]


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except ValueError as error:
        if not body.strip():
            what = "the body is empty"
        elif body.lstrip()[:1] == b"<":
            what = "the body is an HTML page"
        else:
            what = f"the body is not valid JSON, or is truncated ({error})"
        raise RetryableError(f"invalid response: {what}") from error
    if not isinstance(answer, dict):
        raise RetryableError("invalid response: the JSON is not an object")
    if answer.get("message") != "success":
        message = withhold_codes(quote_json(answer.get("message")))
        raise RetryableError(f"invalid response: the message is not 'success' but '{message}'")
    if not isinstance(answer.get("data"), list):
        raise RetryableError("invalid response: there is no list 'data'")
    return answer


def _value(point: dict[str, Any], metric: Metric) -> float:
    """The value of a point: a count, which may be written as a float such as 26660.0, or an amount."""
    value = point.get(metric.field)
    is_amount = metric.type is ValueType.FLOAT
    # Not isinstance: True and False are ints as well. A float that holds an integer is that integer.
    if type(value) is float and not is_amount and value.is_integer():
        value = int(value)
    if type(value) is not int and not (is_amount and type(value) is float):
        kind = "a number" if is_amount else "an integer"
        raise RetryableError(f"invalid response: the {metric.field} of a point is missing, or is not {kind}")
    if not (-_MAX_VALUE if is_amount else 0) <= value <= _MAX_VALUE:
        what = "fewer than 0" if 0 > value >= -_MAX_VALUE else "outside what a value of 53 bits holds"
        raise RetryableError(f"invalid response: the {metric.field} of a point is {what}")
    return value


def _array(metric: Metric, values: list[float]) -> array[Any]:
    return array("d" if metric.type is ValueType.FLOAT else "q", values)


def _placed(metric: Metric, buckets: list[int], values: list[float], span: Span) -> Points:
    """The points inside the span, in order, each bucket once."""
    placed: dict[int, float] = {}
    for bucket, value in zip(buckets, values, strict=True):
        # A repeated point with the same value does no harm. With another one, either could be right: the window is
        # requested again.
        if bucket in span and placed.setdefault(bucket, value) != value:
            raise RetryableError("invalid response: the same bucket appears twice with different values")
    if buckets and not placed:
        raise RetryableError("invalid response: none of the points is in the requested window")
    ordered = sorted(placed)
    return Points(ordered, _array(metric, [placed[bucket] for bucket in ordered]))


# ASCII: otherwise `\d` matches the digits of other scripts, which `int` would convert.
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
# The groups: date and time, seconds and fraction if any, then Z, or a sign and an offset with or without a colon.
_HOUR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)"
    r"(?::(\d\d)(?:[.,](\d{1,12}))?)?"
    r"(?:(Z)|([+-])(?:(\d\d?):(\d\d)|(\d\d)(\d\d)))?",
    re.ASCII,
)
# What may be quoted of a time that is wrong: no key looks like this.
_LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)
_ONE_HOUR = timedelta(hours=1)


def bucket_of(unit: Unit, text: str, zone: ZoneInfo, naive_hours: NaiveHours) -> int:
    """The bucket that the text names.

    Raises:
        ValueError: with the reason, where it names no bucket, or does not name one for certain.

    """
    try:
        return _day(text) if unit is Unit.DAY else _hour(text, zone, naive_hours)
    except OverflowError:
        raise ValueError("is outside the calendar") from None


def _day(text: str) -> int:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("is not a date such as 2026-11-01")
    year, month, day = match.groups()
    return day_number(date(int(year), int(month), int(day)))


def _hour(text: str, zone: ZoneInfo, naive_hours: NaiveHours) -> int:
    match = _HOUR.fullmatch(text)
    if match is None:
        raise ValueError("is not an hour such as 2026-11-01T05:00:00Z")
    year, month, day, hour, minute, second, fraction, *suffix = match.groups()
    if fraction is not None and int(fraction):
        raise ValueError("is not on the hour")
    # UTC is only a placeholder, so that the parts are checked; `_instant` puts the right zone in.
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC)
    bucket, beyond = divmod(_instant(local, suffix, zone, naive_hours) - EPOCH, _ONE_HOUR)
    if beyond:
        raise ValueError("is not on the hour")
    return bucket


def _instant(local: datetime, suffix: list[str | None], zone: ZoneInfo, naive_hours: NaiveHours) -> datetime:
    """The wall-clock time with its zone: that of the suffix or, without one, the one that the config says."""
    zulu, sign, *digits = suffix
    if sign is not None:
        hours, minutes = (int(text) for text in digits if text is not None)
        offset = timedelta(hours=hours, minutes=minutes)
        if minutes >= 60 or offset >= timedelta(days=1):
            raise ValueError("has an invalid offset")
        return local.replace(tzinfo=timezone(-offset if sign == "-" else offset))
    if zulu is not None or naive_hours is NaiveHours.UTC:
        return local
    # At a change of the clocks an hour of the wall clock occurs twice or never. In both cases, and in no other, the two
    # readings have different offsets. Guessing would place the count in a wrong hour.
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        raise ValueError(f"has no offset, and names two hours of {zone.key}, or none")
    return first
