from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.api.decode import Decoder, Points
from collector.api.errors import RetryableError
from collector.buckets import day_number
from collector.config.settings import NaiveHours
from collector.model import Reason, Scope, Series, SeriesKey, Span, Unit, Window
from tests.fuzz.answers import assert_points

NEW_YORK = ZoneInfo("America/New_York")
FIRST = 498_000
HOUR = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=FIRST)


def make_window(unit: Unit = Unit.HOUR, first: int = FIRST, length: int = 5) -> Window:
    series = Series("acme", SeriesKey("sessions", Scope.WORKSPACE, unit, None, None))
    return Window(series, Span(first, first + length), Reason.NEW)


def answer(*points: Any, **fields: Any) -> bytes:
    return orjson.dumps({"message": "success", "data": list(points)} | fields)


def point(time: Any, sessions: Any = 7) -> dict[str, Any]:
    return {"time": time, "sessions": sessions}


def read(
    body: bytes, window: Window | None = None, zone: ZoneInfo = NEW_YORK, naive: NaiveHours = NaiveHours.UTC
) -> dict[int, float]:
    points = Decoder(zone, naive).decode(body, window or make_window())
    return dict(zip(points.buckets, points.values, strict=True))


def reason(body: bytes, window: Window | None = None, naive: NaiveHours = NaiveHours.UTC) -> str:
    with pytest.raises(RetryableError) as caught:
        read(body, window, naive=naive)
    return str(caught.value)


@pytest.mark.parametrize(
    "time",
    [
        "{:%Y-%m-%dT%H:%M:%S}",
        "{:%Y-%m-%dT%H:%M}",
        "{:%Y-%m-%dT%H:%M:%S}Z",
        "{:%Y-%m-%dT%H:%M:%S}.000Z",
        "{:%Y-%m-%dT%H:%M:%S}+00:00",
        "{:%Y-%m-%dT%H:%M:%S}.000000+0000",
        "{:%Y-%m-%d %H:%M:%S}-0:00",
    ],
)
def test_each_way_to_write_an_hour(time: str) -> None:
    """An hour is read naive, with Z, with an offset in three forms, with and without seconds and a fraction of zero."""
    assert read(answer(point(time.format(HOUR)))) == {FIRST: 7}


@pytest.mark.parametrize("offset", ["-05:00", "-5:00", "-0500", "+05:30", "+14:00"])
def test_offsets_are_followed(offset: str) -> None:
    """A point is placed by its own offset, whatever the workspace's zone."""
    sign = -1 if offset[0] == "-" else 1
    hours, minutes = int(offset[1:].replace(":", "")[:-2]), int(offset[-2:])
    local = HOUR + sign * timedelta(hours=hours, minutes=minutes)
    assert read(answer(point(f"{local:%Y-%m-%dT%H:%M:%S}{offset}"))) == {FIRST: 7}


def test_naive_hours_are_read_as_the_config_says() -> None:
    """Without an offset an hour is UTC's or the workspace's."""
    local = HOUR.astimezone(NEW_YORK)
    body = answer(point(f"{local:%Y-%m-%dT%H:%M:%S}"))
    assert read(body, naive=NaiveHours.WORKSPACE) == {FIRST: 7}
    assert "none of the points" in reason(body)


@pytest.mark.parametrize("time", ["2026-11-01T01:00:00", "2026-03-08T02:00:00"])
def test_a_naive_hour_that_a_zone_has_twice_or_never_is_no_answer(time: str) -> None:
    """Around a change of the clocks a naive hour of the zone names no one hour."""
    first = int(datetime.fromisoformat(time).replace(tzinfo=NEW_YORK).timestamp()) // 3600
    window = make_window(first=first - 2, length=6)
    assert "names two hours of America/New_York, or none" in reason(answer(point(time)), window, NaiveHours.WORKSPACE)


def test_days_are_dates() -> None:
    """A day is a date and nothing else."""
    first = day_number(date(2024, 2, 28))
    window = make_window(Unit.DAY, first, 3)
    assert read(answer(point("2024-02-29"), point("2024-03-01", 0)), window) == {first + 1: 7, first + 2: 0}
    for wrong in ("2023-02-29", "2024-02-29T00:00:00Z", "2024-2-29", "20240229", "٢٠٢٤-02-29", ""):
        assert "time" in reason(answer(point(wrong)), window)


def test_order_repetition_unknown_fields_and_points_outside_do_no_harm() -> None:
    """Points are sorted, equal ones are one, fields that the page does not name and points outside are dropped."""
    texts = [f"{HOUR + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}" for number in range(-1, 7)]
    points = [point(text, number) | {"more": None} for number, text in enumerate(texts)]
    assert read(answer(*reversed(points), points[3], extra=1)) == {FIRST + n: n + 1 for n in range(5)}


def test_no_points_are_an_answer() -> None:
    """An empty list is an answer without points."""
    assert read(answer()) == {}


def test_errors_beside_success_are_a_warning() -> None:
    """A success with `errors` is an answer, and says so."""
    assert Decoder(NEW_YORK, NaiveHours.UTC).decode(answer(errors=["slow"]), make_window()).warning == "['slow']"
    assert Decoder(NEW_YORK, NaiveHours.UTC).decode(answer(errors=[]), make_window()).warning is None


SOUND = f"{HOUR:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<html>maintenance</html>", "HTML"),
        (answer(point(SOUND))[:-9], "truncated"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b'{"data":[]}', "message"),
        (b'{"message":"queued","data":[]}', "'queued'"),
        (b'{"message":["success"],"data":[]}', "message"),
        (b'{"message":"success"}', "no list 'data'"),
        (b'{"message":"success","data":{}}', "no list 'data'"),
        (answer([SOUND, 7]), "not an object"),
        (answer(None), "not an object"),
        (answer("time"), "not an object"),
        (answer({"sessions": 7}), "the time of a point"),
        (answer(point(None)), "the time of a point"),
        (answer(point(1793491200)), "the time of a point"),
        (answer(point([SOUND])), "the time of a point"),
        (answer(point("yesterday")), "'yesterday'"),
        (answer(point("2026-11-01")), "not an hour"),
        (answer(point(SOUND.replace(":00Z", ":01Z"))), "not on the hour"),
        (answer(point(SOUND.replace("Z", ".5Z"))), "not on the hour"),
        (answer(point(SOUND.replace("00:00Z", "30:00Z"))), "not on the hour"),
        (answer(point(SOUND.replace("Z", "+05:30"))), "not on the hour"),
        (answer(point(SOUND.replace("Z", "+25:00"))), "offset"),
        (answer(point(SOUND.replace("Z", "+05:75"))), "offset"),
        (answer(point("2026-11-01T24:00:00Z")), "hour must be in"),
        (answer({"time": SOUND}), "the sessions of a point"),
        (answer(point(SOUND, None)), "the sessions of a point"),
        (answer(point(SOUND, "7")), "the sessions of a point"),
        (answer(point(SOUND, True)), "the sessions of a point"),
        (answer(point(SOUND, 7.5)), "the sessions of a point"),
        (answer(point(SOUND, 1e30)), "the sessions of a point"),
        (answer(point(SOUND, -1)), "fewer than 0"),
        (answer(point(SOUND, 2**63)), "sessions"),
        (answer(point(SOUND, 7), point(SOUND, 8)), "twice with different values"),
        (answer(point("2020-01-01T00:00:00Z")), "none of the points"),
    ],
)
def test_what_is_no_answer_is_named(body: bytes, expected: str) -> None:
    """A body that is not what the page promises is an error to retry that names the reason, never zero rows."""
    assert expected in reason(body)


def body_of(counts: list[Any]) -> bytes:
    return answer(*(point(f"{HOUR + timedelta(hours=n):%Y-%m-%dT%H:%M:%SZ}", count) for n, count in enumerate(counts)))


@given(st.lists(st.one_of(st.integers(-2, 2**63), st.booleans(), st.floats(0, 9), st.none()), min_size=5, max_size=5))
@example([1, 2, 3, 4, 5])
@example([1, 2, 3, 4, -5])
@example([1, 2, 3, 4, 2**63])
def test_the_short_way_and_the_long_way_agree(counts: list[Any]) -> None:
    """After an answer to the same span, when the short way is open, the same comes out as without."""
    practised = Decoder(NEW_YORK, NaiveHours.UTC)
    practised.decode(body_of([0] * 5), make_window())
    body = body_of(counts)

    def decoded(decoder: Decoder) -> Points | str:
        try:
            return decoder.decode(body, make_window())
        except RetryableError as error:
            return str(error)

    assert decoded(practised) == decoded(Decoder(NEW_YORK, NaiveHours.UTC))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)
times = st.one_of(
    json_values,
    st.datetimes().map(datetime.isoformat),
    st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d?:?\d\d)?", fullmatch=True),
    st.sampled_from([SOUND, "2026-10-24T00:00:00", "0001-01-01T00:00+23:59", "9999-12-31T23:00-23:59", "2026-10-24"]),
)
points_of = st.one_of(json_values, st.fixed_dictionaries({"time": times}, optional={"sessions": json_values}))
replies = st.one_of(
    st.binary(),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"message": st.one_of(st.just("success"), json_values), "data": st.one_of(st.lists(points_of), json_values)},
        optional={"errors": json_values},
    ).map(lambda value: json.dumps(value).encode()),
)


@given(replies, st.sampled_from(Unit), st.sampled_from(NaiveHours), st.data())
def test_any_bytes_are_points_in_the_window_or_a_reason(
    body: bytes, unit: Unit, naive: NaiveHours, data: st.DataObject
) -> None:
    """Whatever bytes come, complete or truncated: points of the window in order, or an error that names the reason."""
    cut = data.draw(st.integers(0, len(body)))
    window = make_window(unit, FIRST if unit is Unit.HOUR else FIRST // 24)
    decoder = Decoder(ZoneInfo("Asia/Kolkata"), naive)
    for part in (body, body[:cut], body):
        try:
            points = decoder.decode(part, window)
        except RetryableError as error:
            why = str(error)
        else:
            why = ""
        if why:
            assert why.startswith("invalid response: ")
            continue
        assert_points(points, window.span)


def test_many_times_do_not_fill_the_memory() -> None:
    """A server that never repeats a time does not make the decoder grow without bound."""
    decoder = Decoder(NEW_YORK, NaiveHours.UTC)
    for batch in range(30):
        body = answer(*(point(f"{HOUR - timedelta(hours=batch * 1000 + n):%Y-%m-%dT%H:%M:%SZ}") for n in range(1000)))
        with suppress(RetryableError):
            decoder.decode(body, make_window())
    assert sum(map(len, decoder._known.values())) <= 8192
