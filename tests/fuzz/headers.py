"""Any headers of any replies: values within their bounds, or none, and a pool that is never shut for good.

In: bytes, replies without bodies as `replies.py` has them, parted by empty lines. Each is told to the workspace's pool,
one a second, as answered or, with a status of 429, as refused.
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
"""The pool refills within the hour, some slack, and a second of jitter."""


def check(data: bytes) -> None:
    """Tell the pool of one reply after another; however they lie, it opens again."""
    pool, now = Quota(per_hour=20, reserve=0.2, jitter=lambda: 1.0), NOW
    for block in data.split(b"\n\n")[:_MOST_REPLIES]:
        reply = response_of(block)
        now = _opened(pool, now)
        turn = pool.count_sent(now)
        now += timedelta(seconds=1)
        told = parse_headers(reply.headers, now)
        assert_bounded(told, now)
        (pool.record_429 if reply.status == 429 else pool.record_reply)(turn, told, now)
        assert 1 <= pool.limit <= 20
        assert pool.remaining is None or pool.remaining >= 0
    _opened(pool, now)


def assert_bounded(told: RateLimitHeaders, now: datetime) -> None:
    """What was told at `now` is none, or what the lanes can reckon with."""
    for count in (told.limit, told.remaining):
        assert count is None or (type(count) is int and 0 <= count < 10**12)
    for instant in (told.reset, told.date):
        assert instant is None or instant.tzinfo is UTC
    assert told.date is None or isfinite((now - told.date).total_seconds())
    wait = told.retry_after
    assert wait is None or (type(wait) is float and isfinite(wait) and 0 <= wait <= LONGEST_WAIT)


def _opened(pool: Quota, now: datetime) -> datetime:
    """The instant at which the next request may go: after two pauses at most, none longer than the pool needs."""
    for _ in range(3):
        if pool.may_send(now):
            return now
        assert pool.closed_until is not None, "nothing is under way, and nothing is waited for"
        assert now < pool.closed_until <= now + _LONGEST_PAUSE
        now = pool.closed_until
    raise AssertionError("it is shut for good")
