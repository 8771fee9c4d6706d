"""Any headers of any replies: values within their bounds, or none, and a quota that always opens again.

In: bytes, replies without bodies, in the form of `replies.py`, separated by empty lines. The workspace's quota records
them, one a second, as answered or, with a status of 429, as refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isfinite

from collector.api.headers import LONGEST_WAIT, RateLimitHeaders, parse_headers
from collector.fetch.quota import Quota
from tests.fuzz.replies import response_of
from tests.support.builders import NOW

WORDS = (
    "200", "429", "500", "\n\n", "X-RateLimit-Limit: ", "X-RateLimit-Remaining: ", "X-RateLimit-Reset: ",
    "Retry-After: ", "Date: ", "Mon, 23 Nov 2026 06:00:00 GMT", "Monday, 23-Nov-26 06:00:01 GMT",
    "Mon Nov 23 06:00:00 2026", "+0530", "-0000", "+9999", " GMT", "Nov", "1795413600", "1795417200", "253402300799",
    "999999999999", "250000", "0", "3600", "3900", "3901", "-1", "1.5", "1e3", "nan", "inf", "0x10", "1_000",
)  # fmt: skip

_MOST_REPLIES = 50
_LONGEST_PAUSE = timedelta(minutes=65, seconds=1)
"""The quota refills within the hour; some slack, and a second of jitter."""


def check(data: bytes) -> None:
    """Record one reply after another; however wrong they are, the quota opens again."""
    quota, now = Quota(per_hour=20, reserve=0.2, jitter=lambda: 1.0), NOW
    for block in data.split(b"\n\n")[:_MOST_REPLIES]:
        reply = response_of(block)
        now = _opened(quota, now)
        epoch = quota.count_sent(now)
        now += timedelta(seconds=1)
        reported = parse_headers(reply.headers, now)
        assert_bounded(reported, now)
        (quota.record_429 if reply.status == 429 else quota.record_reply)(epoch, reported, now)
        assert 1 <= quota.limit <= 20
        assert quota.remaining is None or quota.remaining >= 0
    _opened(quota, now)


def assert_bounded(reported: RateLimitHeaders, now: datetime) -> None:
    """Each value of headers read at `now` is absent or within its bounds."""
    for count in (reported.limit, reported.remaining):
        assert count is None or (type(count) is int and 0 <= count < 10**12)
    for instant in (reported.reset, reported.date):
        assert instant is None or instant.tzinfo is UTC
    assert reported.date is None or isfinite((now - reported.date).total_seconds())
    wait = reported.retry_after
    assert wait is None or (type(wait) is float and isfinite(wait) and 0 <= wait <= LONGEST_WAIT)


def _opened(quota: Quota, now: datetime) -> datetime:
    """The instant at which the next request may go: after two pauses at most, none longer than a refill takes."""
    for _ in range(3):
        if quota.may_send(now):
            return now
        assert quota.closed_until is not None, "nothing is in flight, and nothing is waited for"
        assert now < quota.closed_until <= now + _LONGEST_PAUSE
        now = quota.closed_until
    raise AssertionError("it never opens again")
