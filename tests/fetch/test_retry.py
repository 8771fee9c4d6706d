from __future__ import annotations

import asyncio
import math
import random
from bisect import bisect_left
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.api.errors import RetryableError, SeriesRefusedError
from collector.api.headers import RateLimitHeaders
from collector.config.settings import Retry
from collector.fetch.limiter import EvenThrottle
from collector.fetch.retry import (
    EXHAUSTED_IN_A_ROW,
    REFUSED_AT_FIRST,
    SILENT_IN_A_ROW,
    SILENT_SECONDS,
    CircuitBreaker,
    max_backoff,
    retrying,
)
from tests.support.virtual import VirtualLoop, run, throttled_by


def waits_of(retry: Retry, errors: list[Exception], seed: int = 1) -> list[float]:
    """What the policy sleeps while the errors come one after another."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def attempt() -> str:
        if errors:
            raise errors.pop(0)
        return "answer"

    assert asyncio.run(retrying(retry, random.Random(seed), sleep)(attempt)) == "answer"  # noqa: S311
    return slept


def test_the_backoff_doubles_up_to_its_bound_with_full_jitter() -> None:
    """Each wait is between 0 and twice the last bound, at most `max_seconds`."""
    retry = Retry(attempts=9, base_seconds=0.5, max_seconds=10)
    bounds = [0.5, 1, 2, 4, 8, 10, 10, 10]
    runs = [waits_of(retry, [RetryableError("x") for _ in range(8)], seed) for seed in range(200)]
    for bound, column in zip(bounds, zip(*runs, strict=True), strict=True):
        assert 0 <= min(column) < 0.1 * bound
        assert 0.9 * bound < max(column) <= bound


def test_retry_after_is_a_least_wait() -> None:
    """The wait that the server names is kept, whatever the jitter is."""
    error = RetryableError("x", headers=RateLimitHeaders(retry_after=100.0))
    assert waits_of(Retry(), [error]) == [100.0]


def test_other_errors_are_not_tried_again() -> None:
    """An error that must not be repeated is raised at once."""
    with pytest.raises(SeriesRefusedError):
        waits_of(Retry(), [SeriesRefusedError("x")])


def test_the_last_error_comes_out() -> None:
    """After the last attempt, its own error is raised, not one of the library."""
    with pytest.raises(RetryableError, match="third"):
        waits_of(Retry(attempts=3), [RetryableError("first"), RetryableError("second"), RetryableError("third")])


@given(st.integers(1, 10**6), st.floats(0.001, 1e6), st.floats(0.001, 1e6))
def test_no_count_overflows_the_backoff(failed: int, base: float, most: float) -> None:
    """However many attempts, the wait is a number within its bound."""
    assert 0 < max_backoff(Retry(10, base, most), failed) <= most


def _let_through(per_second: float, stalls: dict[int, float], seconds: float, start: float = 1000.0) -> list[float]:
    """When a throttle permits requests, from `start` on the virtual clock; before some the event loop is blocked."""
    passed: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.hold_up(start)
        with throttled_by(loop):
            throttle = EvenThrottle(per_second)
            while loop.time() < start + seconds:
                loop.hold_up(stalls.get(len(passed), 0))
                await throttle.acquire()
                passed.append(loop.time() - start)

    run(main)
    return passed


STALLS = st.dictionaries(st.integers(0, 400), st.floats(0, 2), max_size=10)


@given(st.one_of(st.integers(1, 500).map(float), st.floats(0.5, 500)), STALLS)
@settings(max_examples=50)
def test_no_second_holds_more_than_the_rate(per_second: float, stalls: dict[int, float]) -> None:
    """In any second, no more requests are permitted than the rate, however the loop is blocked meanwhile."""
    passed = _let_through(per_second, stalls, 4.0)
    for place, first in enumerate(passed):
        assert bisect_left(passed, first + math.ceil(per_second) / per_second) - place <= math.ceil(per_second)


@pytest.mark.parametrize("rate", [2.5, 70, 250_000 / 3600, 500])
def test_nearly_all_of_the_rate_is_used(rate: float) -> None:
    """Over 99 percent of the rate is used, and no more than a few requests pass at once."""
    passed = _let_through(rate, {}, 20.0)
    assert 0.99 <= (len(passed) - 1) / (20.0 * rate) <= 1
    assert max(Counter(passed).values()) <= max(1, 0.02 * rate)


def test_an_idle_time_is_not_caught_up() -> None:
    """After an idle time requests are spread as before it: no burst that would come again each second."""
    assert max(Counter(_let_through(100, {200: 5.0}, 10.0)).values()) <= 2


@pytest.mark.parametrize("start", [0.0, 1000.0])
def test_the_first_request_is_permitted_at_once(start: float) -> None:
    """However low the rate, and however recently the machine was started, whose clock begins at zero."""
    assert _let_through(0.1, {}, 5.0, start)[0] == 0.0


def test_a_blocked_loop_is_caught_up() -> None:
    """A loop that was blocked for a twentieth of a second loses nothing."""
    assert len(_let_through(100, {50: 0.05, 200: 0.05, 300: 0.05}, 10.0)) >= 990


def test_requests_due_at_once_pass_at_once() -> None:
    """Requests that are due within the same hundredth of a second pass together."""
    assert Counter(_let_through(100_000, {}, 0.001))[0.0] >= 990


def test_the_breaker_counts_windows_in_a_row() -> None:
    """Ten failed windows in a row open it; an answer resets the count."""
    breaker = CircuitBreaker(failure_threshold=4)
    for _ in range(EXHAUSTED_IN_A_ROW - 1):
        breaker.record_failed_window()
    assert breaker.open_reason is None
    breaker.record_answer()
    for _ in range(EXHAUSTED_IN_A_ROW):
        breaker.record_failed_window()
    assert breaker.open_reason == "stopped after 10 windows in a row failed in every attempt"


def test_silence_opens_it_by_time_and_number() -> None:
    """Two attempts an hour apart are not an hour of silence; any reply resets the count."""
    breaker = CircuitBreaker(failure_threshold=4)
    breaker.record_no_reply(0.0)
    breaker.record_no_reply(3600.0)
    assert breaker.open_reason is None
    breaker.record_reply()
    for number in range(SILENT_IN_A_ROW):
        assert breaker.open_reason is None
        breaker.record_no_reply(7200.0 + number * SILENT_SECONDS / (SILENT_IN_A_ROW - 1))
    assert breaker.open_reason == "stopped after 5 minutes without any reply"


def test_refused_series_open_it_only_where_nothing_was_answered() -> None:
    """Many refused series are the config's mistake; all of them, the workspace's."""
    for answered in (True, False):
        breaker = CircuitBreaker(failure_threshold=4)
        if answered:
            breaker.record_answer()
        for _ in range(REFUSED_AT_FIRST):
            breaker.record_refused_series()
        assert bool(breaker.open_reason) is not answered


def test_an_answer_closes_a_half_open_breaker() -> None:
    """After as many failed attempts as its threshold it is half open, until there is an answer."""
    breaker = CircuitBreaker(failure_threshold=3)
    for _ in range(3):
        assert not breaker.half_open
        breaker.record_failed_attempt()
    assert breaker.half_open
    breaker.record_answer()
    assert not breaker.half_open
