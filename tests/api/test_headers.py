from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

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


@pytest.mark.parametrize("text", ["", " ", "-1", "1.5.0", ".5", "1e3", "0x10", "٣", "²", "9" * 400, "nan", "1_000"])
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


HOUR = timedelta(hours=1)


@pytest.mark.parametrize("skew", [HOUR, -HOUR, timedelta(days=400), timedelta(0)])
def test_an_instant_is_compared_with_the_date_of_the_same_reply(skew: timedelta) -> None:
    """A reset and a `Retry-After` date mean the same wait, whatever this machine's clock says."""
    there = NOW + skew
    headers = {
        "date": format_datetime(there, usegmt=True),
        "x-ratelimit-reset": str(int(there.timestamp()) + 3),
        "retry-after": format_datetime(there + timedelta(seconds=3), usegmt=True),
    }
    parsed = parse_headers(headers, NOW)
    assert (parsed.reset, parsed.retry_after, parsed.date) == (NOW + timedelta(seconds=3), 3.0, there)


def test_a_second_between_the_clocks_moves_no_reset() -> None:
    """`Date` has no fractions, so a reset is left as it is where both clocks agree within a second."""
    now = NOW + timedelta(seconds=1.9)
    reset = NOW + timedelta(seconds=30)
    headers = {"date": format_datetime(NOW, usegmt=True), "x-ratelimit-reset": str(int(reset.timestamp()))}
    assert parse_headers(headers, now).reset == reset


@pytest.mark.parametrize(("text", "seconds"), [("1.5", 2.0), ("0.2", 1.0), ("30.0", 30.0), (" 7 ", 7.0), ("0", 0.0)])
def test_a_fraction_of_a_second_is_rounded_up(text: str, seconds: float) -> None:
    """`Retry-After: 1.5`, which some servers send, is waited for, and rounded up."""
    assert parse_headers({"retry-after": text}, NOW).retry_after == seconds
