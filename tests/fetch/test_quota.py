from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.headers import NO_HEADERS, RateLimitHeaders
from collector.fetch.quota import Quota
from tests.support.virtual import START

NOW = START + timedelta(minutes=20)
HOUR = START + timedelta(hours=1)


def make_quota(per_hour: int = 1000, reserve: float = 0.2) -> Quota:
    return Quota(per_hour, reserve, lambda: 0.5)


def reported(remaining: int, reset: datetime | None = HOUR, limit: int | None = 1000) -> RateLimitHeaders:
    return RateLimitHeaders(limit, remaining, reset)


def request(quota: Quota, headers: RateLimitHeaders, now: datetime = NOW) -> None:
    """One request and its reply."""
    assert quota.may_send(now)
    quota.record_reply(quota.count_sent(now), headers, now)


def test_one_request_goes_ahead() -> None:
    """Before the first reply of an hour, only one request is in flight."""
    quota = make_quota()
    epoch = quota.count_sent(NOW)
    assert not quota.may_send(NOW)
    assert quota.closed_until is None
    quota.record_reply(epoch, NO_HEADERS, NOW)
    assert quota.may_send(NOW)


def test_nothing_is_sent_at_the_reserve() -> None:
    """At the reserve nothing is sent until the reported reset and the jitter; then one request is."""
    quota = make_quota()
    reset = NOW + timedelta(minutes=3)
    request(quota, reported(200, reset))
    assert not quota.may_send(NOW)
    assert quota.closed_until == reset + timedelta(seconds=0.5)
    assert not quota.may_send(reset)
    assert quota.may_send(reset + timedelta(seconds=1))
    quota.count_sent(reset + timedelta(seconds=1))
    assert not quota.may_send(reset + timedelta(seconds=1))


def test_what_is_in_flight_counts_as_spent() -> None:
    """Near the minimum, no more than half of what is available is in flight."""
    quota = make_quota()
    request(quota, reported(218))
    sent = 0
    while quota.may_send(NOW):
        quota.count_sent(NOW)
        sent += 1
    assert sent == 5, "ten are available above the reserve and the hundredth kept for others"


def test_the_lowest_reported_number_counts() -> None:
    """Replies that overtake one another do not raise the remaining number."""
    quota = make_quota()
    request(quota, reported(900))
    first, second = quota.count_sent(NOW), quota.count_sent(NOW)
    quota.record_reply(second, reported(500), NOW)
    quota.record_reply(first, reported(501), NOW)
    assert quota.remaining == 500


def test_a_refill_before_this_clock_says_so_is_noticed() -> None:
    """A reset later than the known one means that the hour has turned, whatever this machine's clock says."""
    quota = make_quota()
    request(quota, reported(210, NOW + timedelta(minutes=2)))
    request(quota, reported(990, NOW + timedelta(minutes=62)))
    assert quota.remaining == 990


def test_the_smaller_limit_counts() -> None:
    """The limit is the smaller of the config's and the header's; a limit of zero is not believed."""
    quota = make_quota(per_hour=1000)
    request(quota, reported(400, limit=500))
    assert quota.limit == 500
    request(quota, reported(399, limit=0))
    assert quota.limit == 500
    request(quota, reported(398, limit=9_999_999))
    assert quota.limit == 1000


def test_per_hour_bounds_this_program_too() -> None:
    """However much the API leaves, no more than the config's limit less its reserve is sent in an hour."""
    quota = make_quota(per_hour=10)
    for _ in range(8):
        request(quota, reported(200_000, limit=250_000))
    assert not quota.may_send(NOW)
    assert quota.closed_until == HOUR + timedelta(seconds=0.5)


@pytest.mark.parametrize("reset", [None, HOUR + timedelta(days=365), NOW + timedelta(minutes=66)])
def test_without_a_reset_to_believe_the_clock_hour_counts(reset: datetime | None) -> None:
    """Without a reset, or with one beyond the next hour, the clock hour is waited for."""
    quota = make_quota()
    request(quota, reported(0, reset))
    assert not quota.may_send(NOW)
    assert quota.closed_until == HOUR + timedelta(seconds=0.5)


def test_a_reset_in_the_past_is_waited_for_shortly() -> None:
    """A reset that has passed means that the clock is ahead: short pauses, which double up to five minutes."""
    quota, now, waits = make_quota(), NOW, []
    for _ in range(12):
        request(quota, reported(0, NOW - timedelta(seconds=1)), now)
        assert not quota.may_send(now)
        assert quota.closed_until is not None
        waits.append((quota.closed_until - now).total_seconds())
        now = quota.closed_until
    assert waits[:4] == [1.5, 2.5, 4.5, 8.5]
    assert max(waits) == 300.5


def test_late_replies_of_the_last_hour_are_ignored() -> None:
    """A reply to a request of the last hour says nothing about this one."""
    quota = make_quota()
    request(quota, reported(900))
    late = quota.count_sent(NOW)
    request(quota, reported(999, HOUR + timedelta(hours=1)), HOUR) if quota.in_flight == 0 else None
    quota.may_send(HOUR)
    quota.record_reply(late, reported(200), HOUR)
    assert quota.remaining is None
    assert quota.may_send(HOUR)


def test_many_429s_are_one_pause() -> None:
    """Requests that were refused together start one pause, not one each."""
    quota = make_quota()
    request(quota, reported(900))
    epochs = [quota.count_sent(NOW) for _ in range(10)]
    for epoch in epochs:
        quota.record_429(epoch, RateLimitHeaders(retry_after=30.0), NOW)
    assert quota.closed_until == NOW + timedelta(seconds=30.5)
    later = quota.closed_until
    assert quota.may_send(later)
    assert quota.in_flight == 0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (RateLimitHeaders(), 2400.5),
        (RateLimitHeaders(retry_after=5.0), 5.5),
        (reported(0), 2400.5),
        (RateLimitHeaders(1000, 0, HOUR, 5.0), 2400.5),
        (RateLimitHeaders(1000, 0, None, 3000.0), 3000.5),
        (reported(900), 1.5),
    ],
)
def test_how_long_a_429_closes(headers: RateLimitHeaders, wait: float) -> None:
    """For `Retry-After`; at the minimum, until the reset; with requests remaining, for a short time."""
    quota = make_quota()
    quota.record_429(quota.count_sent(NOW), headers, NOW)
    assert quota.closed_until == NOW + timedelta(seconds=wait)


def test_failures_without_headers_may_have_cost_one() -> None:
    """A request that got no reply counts as spent until a later reply reports the number."""
    quota = make_quota()
    request(quota, reported(212))
    assert quota.available() == 4
    request(quota, NO_HEADERS)
    assert quota.available() == 3
    request(quota, reported(211))
    assert quota.available() == 3


numbers = st.one_of(st.none(), st.integers(0, 2000), st.integers(0, 10**12))
instants = st.one_of(st.none(), st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=START.tzinfo)), st.integers(-7200, 7200).map(
    lambda seconds: NOW + timedelta(seconds=seconds)))  # fmt: skip
lies = st.builds(RateLimitHeaders, numbers, numbers, instants, st.one_of(st.none(), st.floats(0, 3900)))


@given(st.lists(st.tuples(lies, st.booleans(), st.floats(0, 4000)), max_size=30))
def test_no_headers_close_it_for_good(answers: list[tuple[RateLimitHeaders, bool, float]]) -> None:
    """Whatever the headers say, the quota opens again within two hours, and counts what is in flight correctly."""
    quota, now = make_quota(), NOW
    for headers, refuse, pause in answers:
        now += timedelta(seconds=pause)
        asked = now
        while not quota.may_send(now):  # a short pause may be followed by the wait for the hour
            assert quota.closed_until is not None
            now = max(now, quota.closed_until)
            assert now - asked <= timedelta(minutes=132)
        epoch = quota.count_sent(now)
        (quota.record_429 if refuse else quota.record_reply)(epoch, headers, now)
        assert quota.in_flight == 0
