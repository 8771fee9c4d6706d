from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.headers import NO_HEADERS, RateLimitHeaders, parse_headers
from tests.fuzz.headers import assert_bounded

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
NAMES = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after", "date")


def test_the_documented_headers() -> None:
    """The quota's three headers, the wait and the server's clock are read, with their units."""
    parsed = parse_headers(
        {
            "x-ratelimit-limit": "250000",
            "x-ratelimit-remaining": "249999",
            "x-ratelimit-reset": "1795406400",
            "retry-after": "30",
            "date": "Mon, 23 Nov 2026 03:00:01 GMT",
        },
        NOW,
    )
    reset = datetime.fromtimestamp(1795406400, UTC)
    assert parsed == RateLimitHeaders(250000, 249999, reset, 30.0, datetime(2026, 11, 23, 3, 0, 1, tzinfo=UTC))


def test_retry_after_as_a_date() -> None:
    """A `Retry-After` may be an HTTP date; one that has passed means not to wait."""
    assert parse_headers({"retry-after": "Mon, 23 Nov 2026 03:01:00 GMT"}, NOW).retry_after == 60.0
    assert parse_headers({"retry-after": "Mon, 23 Nov 2026 02:00:00 GMT"}, NOW).retry_after == 0.0


@pytest.mark.parametrize("text", ["", " ", "-1", "1.5", "1e3", "0x10", "٣", "²", "9" * 400, "nan", "None", "1_000"])
def test_what_is_no_number_tells_nothing(text: str) -> None:
    """Empty, negative, fractional, huge and foreign numbers are as good as absent."""
    assert parse_headers(dict.fromkeys(NAMES, text), NOW) == NO_HEADERS


def test_a_wait_beyond_the_hour_is_not_believed() -> None:
    """The quota refills within the hour, so no wait of a day is believed."""
    assert parse_headers({"retry-after": "86400"}, NOW).retry_after is None
    assert parse_headers({"retry-after": "Mon, 23 Nov 2099 03:01:00 GMT"}, NOW).retry_after is None


texts = st.one_of(st.text(), st.integers().map(str), st.datetimes().map(lambda at: f"{at:%a, %d %b %Y %H:%M:%S} GMT"))


@given(st.dictionaries(st.sampled_from(NAMES), texts))
def test_no_header_raises(headers: dict[str, str]) -> None:
    """Whatever the headers hold, values within their bounds come out, or none."""
    assert_bounded(parse_headers(headers, NOW), NOW)
