from __future__ import annotations

import asyncio
import math
import random
from bisect import bisect_left
from collections import Counter

import pytest
from hypothesis import given
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
from tests.fetch.virtual import VirtualLoop, run, throttled_by


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
    """Each wait lies anywhere between nothing and twice the last bound, `max_seconds` at most."""
    retry = Retry(attempts=9, base_seconds=0.5, max_seconds=10)
    bounds = [0.5, 1, 2, 4, 8, 10, 10, 10]
    runs = [waits_of(retry, [RetryableError("x") for _ in range(8)], seed) for seed in range(200)]
    for bound, column in zip(bounds, zip(*runs, strict=True), strict=True):
        assert 0 <= min(column) < 0.1 * bound
        assert 0.9 * bound < max(column) <= bound


def test_retry_after_is_a_least_wait() -> None:
    """The wait that the server names is kept, whatever chance says."""
    error = RetryableError("x", headers=RateLimitHeaders(retry_after=100.0))
    assert waits_of(Retry(), [error]) == [100.0]


def test_other_errors_are_not_tried_again() -> None:
    """What is not to be asked again comes out at once."""
    with pytest.raises(SeriesRefusedError):
        waits_of(Retry(), [SeriesRefusedError("x")])


def test_the_last_error_comes_out() -> None:
    """After the last attempt its own error is raised, not one of the library's."""
    with pytest.raises(RetryableError, match="third"):
        waits_of(Retry(attempts=3), [RetryableError("first"), RetryableError("second"), RetryableError("third")])


@given(st.integers(1, 10**6), st.floats(0.001, 1e6), st.floats(0.001, 1e6))
def test_no_count_overflows_the_backoff(failed: int, base: float, most: float) -> None:
    """However many attempts, the wait is a number within its bound."""
    assert 0 < max_backoff(Retry(10, base, most), failed) <= most


def _let_through(per_second: float, stalls: dict[int, float], seconds: float, began: float = 1000.0) -> list[float]:
    """When a pacer lets requests through, from `began` on the virtual clock; before some the event loop is held up."""
    passed: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.hold_up(began)
        with throttled_by(loop):
            pacer = EvenThrottle(per_second)
            while loop.time() < began + seconds:
                loop.hold_up(stalls.get(len(passed), 0))
                await pacer.acquire()
                passed.append(loop.time() - began)

    run(main)
    return passed


STALLS = st.dictionaries(st.integers(0, 400), st.floats(0, 2), max_size=10)


@given(st.one_of(st.integers(1, 500).map(float), st.floats(0.5, 500)), STALLS)
def test_no_second_holds_more_than_the_rate(per_second: float, stalls: dict[int, float]) -> None:
    """In any second, wherever it begins, no more go than the rate, however the loop is held up meanwhile."""
    passed = _let_through(per_second, stalls, 4.0)
    for place, first in enumerate(passed):
        assert bisect_left(passed, first + math.ceil(per_second) / per_second) - place <= math.ceil(per_second)


@pytest.mark.parametrize("rate", [2.5, 70, 250_000 / 3600, 500])
def test_nearly_all_of_the_rate_is_used(rate: float) -> None:
    """Over 99 per cent of what is permitted goes, and no more than a few at once."""
    passed = _let_through(rate, {}, 20.0)
    assert 0.99 <= (len(passed) - 1) / (20.0 * rate) <= 1
    assert max(Counter(passed).values()) <= max(1, 0.02 * rate)


def test_a_pause_is_not_made_up_for() -> None:
    """After a pause requests are spread as before it: no group of them that would come again each second."""
    assert max(Counter(_let_through(100, {200: 5.0}, 10.0)).values()) <= 2


@pytest.mark.parametrize("began", [0.0, 1000.0])
def test_the_first_request_goes_at_once(began: float) -> None:
    """However slow the pace, and however lately the machine was started, whose clock begins at zero."""
    assert _let_through(0.1, {}, 5.0, began)[0] == 0.0


def test_what_was_held_up_is_made_up_for() -> None:
    """A loop that was held up for a twentieth of a second loses nothing by it."""
    assert len(_let_through(100, {50: 0.05, 200: 0.05, 300: 0.05}, 10.0)) >= 990


def test_the_throttle_lets_through_at_once_what_it_may() -> None:
    """Those who are due within the same hundredth of a second go together."""
    assert Counter(_let_through(100_000, {}, 0.001))[0.0] >= 990


def test_the_breaker_counts_windows_in_a_row() -> None:
    """Ten windows without an answer between them trip it; an answer begins the count anew."""
    breaker = CircuitBreaker(patience=4)
    for _ in range(EXHAUSTED_IN_A_ROW - 1):
        breaker.window_failed()
    assert breaker.tripped is None
    breaker.answered()
    for _ in range(EXHAUSTED_IN_A_ROW):
        breaker.window_failed()
    assert breaker.tripped == "stopped after 10 windows in a row failed in every attempt"


def test_silence_trips_it_by_time_and_number() -> None:
    """Two attempts with an hour between them are no silence of an hour; a reply of any kind begins it anew."""
    breaker = CircuitBreaker(patience=4)
    breaker.heard_nothing(0.0)
    breaker.heard_nothing(3600.0)
    assert breaker.tripped is None
    breaker.heard()
    for number in range(SILENT_IN_A_ROW):
        assert breaker.tripped is None
        breaker.heard_nothing(7200.0 + number * SILENT_SECONDS / (SILENT_IN_A_ROW - 1))
    assert breaker.tripped == "stopped after 5 minutes without any reply"


def test_refused_series_trip_it_only_where_nothing_was_answered() -> None:
    """Many refused series are the config's mistake; all of them, the workspace's."""
    for answered in (True, False):
        breaker = CircuitBreaker(patience=4)
        if answered:
            breaker.answered()
        for _ in range(REFUSED_AT_FIRST):
            breaker.series_refused()
        assert bool(breaker.tripped) is not answered


def test_probation_ends_with_an_answer() -> None:
    """After as many failed attempts as its patience one window alone goes on, until there is an answer."""
    breaker = CircuitBreaker(patience=3)
    for _ in range(3):
        assert not breaker.probation
        breaker.attempt_failed()
    assert breaker.probation
    breaker.answered()
    assert not breaker.probation
