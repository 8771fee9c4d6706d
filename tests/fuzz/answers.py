"""Any reply to a request: points of the window that was requested, or an error that names the reason.

In: bytes. Their first line is the request (`hour America/New_York utc 498000 5`: unit, zone, naive hours, first
bucket, length; what is missing or invalid has a default), the others are the reply, in the form of `replies.py`.
It goes through `ApiClient.fetch`, as in a run.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

import orjson

from collector.api.client import ApiClient, Reply
from collector.api.errors import (
    ApiError,
    MetricRefusedError,
    QuotaExhaustedError,
    RetryableError,
    SeriesRefusedError,
    WorkspaceRefusedError,
)
from collector.api.transport import Response
from collector.buckets import EPOCH, day_number, format_bucket
from collector.clock import SystemClock
from collector.config.settings import NaiveHours, Secret
from collector.model import MAX_WINDOW, Reason, Span, Unit, Window
from collector.redaction import MAX_LINE
from collector.testing import FakeTransport
from tests.fuzz.replies import number, response_of
from tests.support.builders import NOW, make_series, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.api.decode import Points
    from collector.config.settings import Workspace

KEY = "s3cr3t/K+y&=%\\-0b9d"
"""The workspace's key, with characters that are written in another way in URLs, in JSON and in reprs."""

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia")
WORDS = (
    *ZONES, *Unit, *NaiveHours, "20760", "498240", "100", "200", "202", "302", "400", "401", "429", "500", "Location: ",
    "https://", "X-RateLimit-Remaining: ", '{"message":"success","data":[', '{"time":"', '","sessions":', "},", "]}",
    '"errors":[', '"message":', "2026-11-01", "2026-11-01T05:00:00", "2026-03-08T02:00:00", "T", "Z", ".000", "+05:30",
    "-0500", "+00:00", "-1", "1e3", "9223372036854775807", "9223372036854775808", "null", "true", "[[[[[[[[",
    "]]]]]]]]", "\\ud800", "\\u0000", "\\u2028", "<html>", KEY, quote(KEY, safe=""), quote(KEY),
    orjson.dumps(KEY).decode(),
)  # fmt: skip

_GUISES = (KEY, quote(KEY, safe=""), quote(KEY), KEY.replace("\\", "\\\\"))
_PIECE = 8
_LAST = day_number(date(2999, 12, 31))


def check(data: bytes) -> None:
    """Ask, and hold what comes of it against what is promised; a second answer must come out as the first did."""
    question, _, rest = data.partition(b"\n")
    workspace, window = _asked(question.split())
    reply = response_of(rest)
    (outcome,) = _told(workspace, window, [reply])
    if isinstance(outcome, Reply):
        assert 200 <= reply.status < 300
        assert outcome.http_status == reply.status
        assert_points(outcome.points, window.span)
        texts = [outcome.points.warning] if outcome.points.warning is not None else []
    else:
        assert type(outcome) in (
            RetryableError,
            SeriesRefusedError,
            QuotaExhaustedError,
            MetricRefusedError,
            WorkspaceRefusedError,
        )
        assert outcome.http_status == reply.status
        texts = [str(outcome)]
    plain = _plain_points(reply, workspace, window)
    if plain is not None:
        assert isinstance(outcome, Reply)
        assert dict(zip(outcome.points.buckets, outcome.points.values, strict=True)) == plain
    for text in texts:
        _assert_fit_for_logs(text, rest)
    _, *repeated = _told(workspace, window, [_sound(window), reply, reply])
    assert list(map(_comparable, repeated)) == [_comparable(outcome)] * 2


def assert_points(points: Points, span: Span) -> None:
    """Points are of the span, in order, each once, each a count that the lake can hold."""
    buckets = list(points.buckets)
    assert buckets == sorted(set(buckets))
    assert all(type(bucket) is int and bucket in span for bucket in buckets)
    assert len(points.values) == len(buckets)
    assert all(type(count) is int and 0 <= count <= 2**53 for count in points.values)


def _plain_points(reply: Response, workspace: Workspace, window: Window) -> dict[int, int] | None:
    """The points of a plain reply, read without the decoder; None if it may not be an answer."""
    try:
        answer = orjson.loads(reply.body)
        data = [(_bucket(point["time"], workspace, window.series.unit), point["sessions"]) for point in answer["data"]]
        plain = reply.status == 200 and answer["message"] == "success" and isinstance(answer["data"], list)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    reported = {bucket: count for bucket, count in data if bucket is not None and bucket in window.span}
    sound = all(type(count) is int and 0 <= count <= 2**53 for _, count in data)
    once = all(reported.get(bucket, count) == count for bucket, count in data if bucket is not None)
    known = all(bucket is not None for bucket, _ in data)
    return reported if plain and sound and once and known and (reported or not data) else None


def _bucket(time: str, workspace: Workspace, unit: Unit) -> int | None:
    """The bucket of a time that is written in the usual way and names one; None for all others."""
    if unit is Unit.DAY:
        day = date.fromisoformat(time)
        return day_number(day) if day.isoformat() == time else None
    instant = datetime.fromisoformat(time)
    if instant.isoformat() != time.replace("Z", "+00:00"):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC if workspace.naive_hours is NaiveHours.UTC else workspace.timezone)
        if instant.utcoffset() != instant.replace(fold=1).utcoffset():
            return None
    bucket, beyond = divmod(instant - EPOCH, timedelta(hours=1))
    return None if beyond else bucket


def _asked(words: list[bytes]) -> tuple[Workspace, Window]:
    texts = [word.decode("ascii", "replace") for word in words]
    unit = next((unit for unit in Unit if unit in texts), Unit.HOUR)
    zone = next((zone for zone in ZONES if zone in texts), "UTC")
    naive = NaiveHours.WORKSPACE if NaiveHours.WORKSPACE in texts else NaiveHours.UTC
    numbers = [number(word, 0, 10**9, otherwise=0) for word in words if word.isdigit()]
    first, length = (numbers + [20760 if unit is Unit.DAY else 498240, 5][len(numbers) :])[:2]
    first = min(first, (_LAST - MAX_WINDOW) * (1 if unit is Unit.DAY else 24))
    span = Span(first, first + min(max(length, 1), MAX_WINDOW))
    workspace = make_workspace(timezone=ZoneInfo(zone), naive_hours=naive, api_key=Secret(KEY))
    return workspace, Window(make_series(unit), span, Reason.NEW)


def _told(workspace: Workspace, window: Window, replies: list[Response]) -> list[Reply | ApiError]:
    """What comes of the replies, given one after another to one and the same `Api`."""
    coming = iter(replies)
    api = ApiClient(workspace, FakeTransport(lambda _: next(coming)), _StoppedClock())
    return [_at_once(api, window) for _ in replies]


def _at_once(api: ApiClient, window: Window) -> Reply | ApiError:
    """Ask without an event loop, which nothing here waits for."""
    try:
        api.fetch(window).send(None)
    except StopIteration as done:
        reply: Reply = done.value
        return reply
    except ApiError as error:
        return error.without_traceback()
    raise AssertionError("it waited for something")


def _sound(window: Window) -> Response:
    """A complete answer, after which the decoder takes its fast path."""
    span, unit = window.span, window.series.unit
    points = [{"time": format_bucket(unit, bucket), "sessions": 0} for bucket in range(span.first, span.stop)]
    return Response(200, {}, orjson.dumps({"message": "success", "data": points}))


def _comparable(outcome: Reply | ApiError) -> tuple[object, ...]:
    if isinstance(outcome, Reply):
        points = outcome.points
        return (list(points.buckets), list(points.values), points.warning, outcome.http_status, outcome.headers)
    return (type(outcome), str(outcome), outcome.http_status, outcome.headers)


def _assert_fit_for_logs(text: str, source: bytes) -> None:
    """One short line that can be printed, without the key."""
    assert len(text) <= MAX_LINE
    assert text.isprintable()
    assert [guise for guise in _GUISES if guise in text] == []
    # Nor half of it, unless the server itself had cut it in two.
    rest = source.decode("utf-8", "replace")
    for guise in _GUISES:
        rest = rest.replace(guise, " ")
    if not any(_pieces(rest)):
        assert list(_pieces(text)) == []


def _pieces(text: str) -> Iterable[str]:
    """The pieces of the key in a text that are long enough to reveal it."""
    pieces = {guise[start : start + _PIECE] for guise in _GUISES for start in range(len(guise) - _PIECE + 1)}
    return (piece for piece in pieces if piece in text)


class _StoppedClock(SystemClock):
    """A clock at which every run of an input sees the same instant."""

    def now(self) -> datetime:
        return NOW.astimezone(UTC)
