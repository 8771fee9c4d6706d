"""The headers that matter, as values: what is left of the quota, when it refills, how long to wait, the server's clock.

In: any mapping of header names to text, looked up in lower case. Out: values, or None for what is absent, empty or
implausible. Nothing here raises, whatever comes: a 401 has the rate limit headers as empty strings.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_WAIT = 65 * 60.0
"""Seconds. The quota refills within the hour, so a longer `Retry-After` is not believed."""

_MOST_DIGITS = 12
_LONGEST_DATE = 64
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,12})?", re.ASCII)
_RESOLUTION = timedelta(seconds=1)


class RateLimitHeaders(NamedTuple):
    """`limit`, `remaining`: requests. `retry_after`: seconds from now.

    `date`: the server's clock, as it says. `reset`: an instant by this machine's clock. Both in UTC.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: datetime | None = None
    retry_after: float | None = None
    date: datetime | None = None


NO_HEADERS = RateLimitHeaders()
"""A reply without any of these headers, or no reply."""


def parse_headers(headers: Mapping[str, str], now: datetime) -> RateLimitHeaders:
    """The values of a reply that came at `now` (aware).

    An instant that a server sends is compared with that server's clock, where the reply has a `Date`: otherwise a clock
    that is an hour off would turn a wait of three seconds into one of an hour.

    Names and units: X-RateLimit-Limit, -Remaining, -Reset (UTC epoch seconds) as Braze documents them; Retry-After
    (seconds or an HTTP date) and Date as RFC 9110 has them.
    """
    get = headers.get
    date = http_date(get("date"))
    return RateLimitHeaders(
        count(get("x-ratelimit-limit")),
        count(get("x-ratelimit-remaining")),
        _by_this_clock(_epoch(get("x-ratelimit-reset")), date, now),
        _wait(get("retry-after"), date or now),
        date,
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


def _by_this_clock(instant: datetime | None, date: datetime | None, now: datetime) -> datetime | None:
    """An instant of the server's clock, which says `date` when this machine's says `now`, by this machine's clock."""
    if instant is None or date is None:
        return instant
    # A `Date` is cut to full seconds, so `now` is, too. Within a second the clocks count as the same.
    skew = now.replace(microsecond=0) - date
    try:
        return instant if abs(skew) <= _RESOLUTION else instant + skew
    except OverflowError:
        return None


def _wait(text: str | None, now: datetime) -> float | None:
    """Seconds until the end of the wait. `now`: by the server's clock, where it is known."""
    if text is None:
        return None
    # Fractions are not in the standard, and some servers send them: rounded up, so that no wait is too short.
    number = _SECONDS.fullmatch(text.strip())
    if number is not None:
        seconds = ceil(float(number[0]))
    else:
        until = http_date(text)
        if until is None:
            return None
        seconds = max(0, round((until - now).total_seconds()))
    return float(seconds) if seconds <= LONGEST_WAIT else None
