from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.headers import NO_HEADERS, RateLimitHeaders
from collector.fetch.quota import Quota
from tests.fetch.virtual import START

NOW = START + timedelta(minutes=20)
HOUR = START + timedelta(hours=1)


def make_pool(per_hour: int = 1000, reserve: float = 0.2) -> Quota:
    return Quota(per_hour, reserve, lambda: 0.5)


def told(remaining: int, reset: datetime | None = HOUR, limit: int | None = 1000) -> RateLimitHeaders:
    return RateLimitHeaders(limit, remaining, reset)


def ask(pool: Quota, headers: RateLimitHeaders, now: datetime = NOW) -> None:
    """One request and its answer."""
    assert pool.may_send(now)
    pool.answered(pool.sent(now), headers, now)


def test_one_request_goes_ahead() -> None:
    """Before the first answer of a period one request alone is in flight."""
    pool = make_pool()
    turn = pool.sent(NOW)
    assert not pool.may_send(NOW)
    assert pool.closed_until is None
    pool.answered(turn, NO_HEADERS, NOW)
    assert pool.may_send(NOW)


def test_nothing_goes_at_the_reserve() -> None:
    """At the reserve nothing goes until the reset told, and then one request, with the jitter added."""
    pool = make_pool()
    reset = NOW + timedelta(minutes=3)
    ask(pool, told(200, reset))
    assert not pool.may_send(NOW)
    assert pool.closed_until == reset + timedelta(seconds=0.5)
    assert not pool.may_send(reset)
    assert pool.may_send(reset + timedelta(seconds=1))
    pool.sent(reset + timedelta(seconds=1))
    assert not pool.may_send(reset + timedelta(seconds=1))


def test_what_is_in_flight_counts_as_spent() -> None:
    """Near the floor no more is in flight than half of what is left."""
    pool = make_pool()
    ask(pool, told(218))
    sent = 0
    while pool.may_send(NOW):
        pool.sent(NOW)
        sent += 1
    assert sent == 5, "ten are left above the reserve and the hundredth kept for others"


def test_the_lowest_told_counts() -> None:
    """Answers that overtake one another do not raise what is left."""
    pool = make_pool()
    ask(pool, told(900))
    first, second = pool.sent(NOW), pool.sent(NOW)
    pool.answered(second, told(500), NOW)
    pool.answered(first, told(501), NOW)
    assert pool.remaining == 500


def test_a_pool_refilled_ahead_of_this_clock_is_seen() -> None:
    """A reset later than the one known tells that the hour has turned, whatever this machine's clock says."""
    pool = make_pool()
    ask(pool, told(210, NOW + timedelta(minutes=2)))
    ask(pool, told(990, NOW + timedelta(minutes=62)))
    assert pool.remaining == 990


def test_the_smaller_limit_counts() -> None:
    """The pool is the smaller of the config's and the header's; a limit of nothing is not believed."""
    pool = make_pool(per_hour=1000)
    ask(pool, told(400, limit=500))
    assert pool.limit == 500
    ask(pool, told(399, limit=0))
    assert pool.limit == 500
    ask(pool, told(398, limit=9_999_999))
    assert pool.limit == 1000


def test_per_hour_bounds_this_program_too() -> None:
    """However much the API leaves, no more than the config's pool less its reserve is sent in a period."""
    pool = make_pool(per_hour=10)
    for _ in range(8):
        ask(pool, told(200_000, limit=250_000))
    assert not pool.may_send(NOW)
    assert pool.closed_until == HOUR + timedelta(seconds=0.5)


@pytest.mark.parametrize("reset", [None, HOUR + timedelta(days=365), NOW + timedelta(minutes=66)])
def test_without_a_reset_to_believe_the_clock_hour_counts(reset: datetime | None) -> None:
    """No reset, or one beyond the next hour, means to wait for the clock hour."""
    pool = make_pool()
    ask(pool, told(0, reset))
    assert not pool.may_send(NOW)
    assert pool.closed_until == HOUR + timedelta(seconds=0.5)


def test_a_reset_in_the_past_is_waited_for_shortly() -> None:
    """A reset that has passed tells of a clock that is ahead: short pauses, each twice as long, up to five minutes."""
    pool, now, waits = make_pool(), NOW, []
    for _ in range(12):
        ask(pool, told(0, NOW - timedelta(seconds=1)), now)
        assert not pool.may_send(now)
        assert pool.closed_until is not None
        waits.append((pool.closed_until - now).total_seconds())
        now = pool.closed_until
    assert waits[:4] == [1.5, 2.5, 4.5, 8.5]
    assert max(waits) == 300.5


def test_late_answers_of_the_last_period_are_ignored() -> None:
    """An answer to a request of the last hour says nothing of this one."""
    pool = make_pool()
    ask(pool, told(900))
    late = pool.sent(NOW)
    ask(pool, told(999, HOUR + timedelta(hours=1)), HOUR) if pool.in_flight == 0 else None
    pool.may_send(HOUR)
    pool.answered(late, told(200), HOUR)
    assert pool.remaining is None
    assert pool.may_send(HOUR)


def test_many_429s_are_one_pause() -> None:
    """Requests that were refused together begin one pause, not one each."""
    pool = make_pool()
    ask(pool, told(900))
    turns = [pool.sent(NOW) for _ in range(10)]
    for turn in turns:
        pool.refused(turn, RateLimitHeaders(retry_after=30.0), NOW)
    assert pool.closed_until == NOW + timedelta(seconds=30.5)
    later = pool.closed_until
    assert pool.may_send(later)
    assert pool.in_flight == 0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (RateLimitHeaders(), 2400.5),
        (RateLimitHeaders(retry_after=5.0), 5.5),
        (told(0), 2400.5),
        (RateLimitHeaders(1000, 0, HOUR, 5.0), 2400.5),
        (RateLimitHeaders(1000, 0, None, 3000.0), 3000.5),
        (told(900), 1.5),
    ],
)
def test_how_long_a_429_closes(headers: RateLimitHeaders, wait: float) -> None:
    """`Retry-After`, unless the pool is told to be at its floor: then the reset; a pool that holds some, shortly."""
    pool = make_pool()
    pool.refused(pool.sent(NOW), headers, NOW)
    assert pool.closed_until == NOW + timedelta(seconds=wait)


def test_failures_without_headers_may_have_cost_one() -> None:
    """A request that failed without a word counts as spent until a later answer tells."""
    pool = make_pool()
    ask(pool, told(212))
    assert pool.headroom() == 4
    ask(pool, NO_HEADERS)
    assert pool.headroom() == 3
    ask(pool, told(211))
    assert pool.headroom() == 3


def test_what_was_let_through_and_not_sent_is_given_back() -> None:
    """A withdrawn request has spent nothing."""
    pool = make_pool(per_hour=10)
    before = pool.headroom()
    pool.withdrawn(pool.sent(NOW))
    assert (pool.headroom(), pool.in_flight) == (before, 0)


numbers = st.one_of(st.none(), st.integers(0, 2000), st.integers(0, 10**12))
instants = st.one_of(st.none(), st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=START.tzinfo)), st.integers(-7200, 7200).map(
    lambda seconds: NOW + timedelta(seconds=seconds)))  # fmt: skip
lies = st.builds(RateLimitHeaders, numbers, numbers, instants, st.one_of(st.none(), st.floats(0, 3900)))


@given(st.lists(st.tuples(lies, st.booleans(), st.floats(0, 4000)), max_size=30))
def test_no_headers_shut_it_for_ever(answers: list[tuple[RateLimitHeaders, bool, float]]) -> None:
    """Whatever the headers say, it opens again within two hours, and counts what is in flight right."""
    pool, now = make_pool(), NOW
    for headers, refuse, pause in answers:
        now += timedelta(seconds=pause)
        asked = now
        while not pool.may_send(now):  # a short pause may be followed by the wait for the hour
            assert pool.closed_until is not None
            now = max(now, pool.closed_until)
            assert now - asked <= timedelta(minutes=132)
        turn = pool.sent(now)
        (pool.refused if refuse else pool.answered)(turn, headers, now)
        assert pool.in_flight == 0
