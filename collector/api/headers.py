"""The headers that matter, as values: what is left of the quota, when it refills, how long to wait, the server's clock.

In: any mapping of header names to text, looked up in lower case. Out: values, or None for what is absent, empty or
implausible. Nothing here raises, whatever comes: a 401 has the rate limit headers as empty strings.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_WAIT = 65 * 60.0
"""Seconds. The quota refills within the hour, so a longer `Retry-After` is not believed."""

_MOST_DIGITS = 12
_LONGEST_DATE = 64


class RateLimitHeaders(NamedTuple):
    """`limit`, `remaining`: requests. `reset`, `date`: instants in UTC. `retry_after`: seconds from now."""

    limit: int | None = None
    remaining: int | None = None
    reset: datetime | None = None
    retry_after: float | None = None
    date: datetime | None = None


NO_HEADERS = RateLimitHeaders()
"""A reply without any of these headers, or no reply."""


def parse_headers(headers: Mapping[str, str], now: datetime) -> RateLimitHeaders:
    """The values of a reply that came at `now` (aware).

    Names and units: X-RateLimit-Limit, -Remaining, -Reset (UTC epoch seconds) as Braze documents them; Retry-After
    (seconds or an HTTP date) and Date as RFC 9110 has them.
    """
    get = headers.get
    return RateLimitHeaders(
        count(get("x-ratelimit-limit")),
        count(get("x-ratelimit-remaining")),
        _epoch(get("x-ratelimit-reset")),
        _wait(get("retry-after"), now),
        http_date(get("date")),
    )


def count(text: str | None) -> int | None:
    """A plain decimal number of at most twelve ASCII digits; None for anything else, signs and fractions included."""
    if text is None:
        return None
    text = text.strip()
    if len(text) <= _MOST_DIGITS and text.isdecimal() and text.isascii():
        return int(text)
    return None


@lru_cache(maxsize=64)
def _epoch(text: str | None) -> datetime | None:
    seconds = count(text)
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=64)
def http_date(text: str | None) -> datetime | None:
    """An HTTP date as an instant in UTC."""
    if text is None or len(text) > _LONGEST_DATE:
        return None
    try:
        parsed = parsedate_to_datetime(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _wait(text: str | None, now: datetime) -> float | None:
    if text is None:
        return None
    seconds = count(text)
    if seconds is None:
        until = http_date(text)
        if until is None:
            return None
        seconds = max(0, round((until - now).total_seconds()))
    return float(seconds) if seconds <= LONGEST_WAIT else None
