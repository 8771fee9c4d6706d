from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.errors import AskAgainError, GiveUpSeriesError
from collector.api.headers import ReplyHeaders
from collector.config.settings import Retry
from collector.fetch.breaker import EXHAUSTED_IN_A_ROW, REFUSED_AT_FIRST, SILENT_IN_A_ROW, SILENT_SECONDS, Breaker
from collector.fetch.pacing import ThrottlePacer, limit_and_period
from collector.fetch.retry import longest_wait, retrying


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
    runs = [waits_of(retry, [AskAgainError("x") for _ in range(8)], seed) for seed in range(200)]
    for bound, column in zip(bounds, zip(*runs, strict=True), strict=True):
        assert 0 <= min(column) < 0.1 * bound
        assert 0.9 * bound < max(column) <= bound


def test_retry_after_is_a_least_wait() -> None:
    """The wait that the server names is kept, whatever chance says."""
    error = AskAgainError("x", headers=ReplyHeaders(retry_after=100.0))
    assert waits_of(Retry(), [error]) == [100.0]


def test_other_errors_are_not_tried_again() -> None:
    """What is not to be asked again comes out at once."""
    with pytest.raises(GiveUpSeriesError):
        waits_of(Retry(), [GiveUpSeriesError("x")])


def test_the_last_error_comes_out() -> None:
    """After the last attempt its own error is raised, not one of the library's."""
    with pytest.raises(AskAgainError, match="third"):
        waits_of(Retry(attempts=3), [AskAgainError("first"), AskAgainError("second"), AskAgainError("third")])


@given(st.integers(1, 10**6), st.floats(0.001, 1e6), st.floats(0.001, 1e6))
def test_no_count_overflows_the_backoff(failed: int, base: float, most: float) -> None:
    """However many attempts, the wait is a number within its bound."""
    assert 0 < longest_wait(Retry(10, base, most), failed) <= most


@given(st.one_of(st.integers(1, 10_000).map(float), st.floats(0.01, 10_000)))
def test_no_second_holds_more_than_the_rate(per_second: float) -> None:
    """In any second, wherever it begins, the throttle lets no more through than the rate, and little less at length."""
    limit, period = limit_and_period(per_second)
    if per_second >= 1 and per_second == int(per_second):
        assert limit * round(1 / period) <= per_second
    assert limit / period <= per_second * (1 + 1e-9)
    assert limit / period >= per_second * 0.995


@pytest.mark.parametrize(
    ("rate", "expected"), [(100, (20, 0.2)), (500, (100, 0.2)), (70, (14, 0.2)), (97, (97, 1.0)), (2.5, (1, 0.4))]
)
def test_usual_rates(rate: float, expected: tuple[int, float]) -> None:
    """A rate is cut into fifths of a second where that loses little of it."""
    assert limit_and_period(rate) == expected


def test_the_throttle_lets_through_at_once_what_it_may() -> None:
    """Where there is room nobody waits."""

    async def main() -> int:
        pacer, passed = ThrottlePacer(1000), 0
        for _ in range(150):
            await pacer.acquire()
            passed += 1
        return passed

    assert asyncio.run(main()) == 150


def test_the_breaker_counts_windows_in_a_row() -> None:
    """Ten windows without an answer between them trip it; an answer begins the count anew."""
    breaker = Breaker(patience=4)
    for _ in range(EXHAUSTED_IN_A_ROW - 1):
        breaker.window_failed()
    assert breaker.tripped is None
    breaker.answered()
    for _ in range(EXHAUSTED_IN_A_ROW):
        breaker.window_failed()
    assert breaker.tripped == "stopped after 10 windows in a row failed in every attempt"


def test_silence_trips_it_by_time_and_number() -> None:
    """Two attempts with an hour between them are no silence of an hour; a reply of any kind begins it anew."""
    breaker = Breaker(patience=4)
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
        breaker = Breaker(patience=4)
        if answered:
            breaker.answered()
        for _ in range(REFUSED_AT_FIRST):
            breaker.series_refused()
        assert bool(breaker.tripped) is not answered


def test_probation_ends_with_an_answer() -> None:
    """After as many failed attempts as its patience one window alone goes on, until there is an answer."""
    breaker = Breaker(patience=3)
    for _ in range(3):
        assert not breaker.probation
        breaker.attempt_failed()
    assert breaker.probation
    breaker.answered()
    assert not breaker.probation
