from __future__ import annotations

from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import __version__
from collector.api.request import RequestBuilder
from collector.buckets import day_number
from collector.config.settings import Auth, Secret, Workspace
from collector.model import Reason, Scope, Series, SeriesKey, Span, Unit, Window

KEY = "75480f9a-4db8-4057-8b7e-4d59bfd73709"


def make_workspace(**changes: Any) -> Workspace:
    settings: dict[str, Any] = {"timezone": ZoneInfo("America/New_York"), "api_key": Secret(KEY)}
    return Workspace("acme", changes.pop("endpoint", "https://rest.iad-01.braze.com"), **(settings | changes))


def make_window(unit: Unit, first: int, length: int, app: str | None = None, segment: str | None = None) -> Window:
    return Window(
        Series("acme", SeriesKey("sessions", Scope.APP, unit, app, segment)), Span(first, first + length), Reason.NEW
    )


def test_the_page_s_example() -> None:
    """The example of the reference page comes out, with the key in the header and the colons of the instant kept."""
    stop = int(datetime.fromisoformat("2014-12-11T00:00:00-05:00").timestamp()) // 3600
    window = make_window(Unit.HOUR, stop - 24, 24, "3bbc4555-8fa0-4c9b-a5c0-4505edf3e064")
    request = RequestBuilder(make_workspace()).build(window)
    assert str(request.url) == (
        "https://rest.iad-01.braze.com/sessions/data_series?length=24&unit=hour"
        "&ending_at=2014-12-10T23:59:59-05:00&app_id=3bbc4555-8fa0-4c9b-a5c0-4505edf3e064"
    )
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["User-Agent"] == f"braze-session-collector/{__version__}"


def test_the_key_in_the_query() -> None:
    """With `auth: query` the key travels as `api_key` alone, and neither way does a repr show it."""
    request = RequestBuilder(make_workspace(auth=Auth.QUERY)).build(make_window(Unit.DAY, 20000, 3))
    assert request.url.query["api_key"] == KEY
    assert "Authorization" not in request.headers
    assert KEY not in repr(request)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("America/New_York", "2026-11-01T23:59:59-05:00"),
        ("Asia/Kolkata", "2026-11-01T23:59:59%2B05:30"),
        ("UTC", "2026-11-01T23:59:59%2B00:00"),
    ],
)
def test_days_end_in_their_zone(zone: str, expected: str) -> None:
    """A span of days ends in the last second of its last day, with the offset of that day and its `+` encoded."""
    window = make_window(Unit.DAY, day_number(date(2026, 11, 1)) - 9, 10)
    url = RequestBuilder(make_workspace(timezone=ZoneInfo(zone))).build(window).url
    assert f"length=10&unit=day&ending_at={expected}" in url.raw_query_string


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_ids_of_any_text_survive(app: str, segment: str) -> None:
    """Whatever an id holds, the server reads the same text, and the parameters about it are not disturbed."""
    url = (
        RequestBuilder(make_workspace(auth=Auth.QUERY, api_key=Secret(app)))
        .build(make_window(Unit.DAY, 20000, 1, app, segment))
        .url
    )
    sent = parse_qs(urlsplit(str(url)).query, keep_blank_values=True, strict_parsing=True)
    assert sent["app_id"] == [app]
    assert sent["segment_id"] == [segment]
    assert sent["api_key"] == [app]
    assert len(sent) == 6


def test_ids_left_out_are_not_sent() -> None:
    """A series of a complete workspace names neither app nor segment."""
    query = RequestBuilder(make_workspace(endpoint="https://x.test/")).build(make_window(Unit.DAY, 20000, 1)).url.query
    assert set(query) == {"length", "unit", "ending_at"}
