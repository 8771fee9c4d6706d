"""When and how often a failed window is asked again: the config's `retry`, as a policy of tenacity.

tenacity costs some fifty microseconds a call, so the first attempt is made without it, and it is entered with the
failure of that attempt, which it counts as its first. One policy object serves one window: shared between tasks it
would mix up their counts.

Stops a lane that gets nothing but failures, after a bounded number of requests. Pure: a count of what happened.

An answer of any window resets the count of failures in a row. So a lane with one dead segment goes on, and one whose
server is down stops; the next run asks for all of it again. Where not even a failure is told, each request takes its
whole timeout, so silence is bounded by time as well: an outage of some minutes is outlived, and not of half an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from collector.api.errors import ApiError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from collector.config.settings import Retry


_LARGEST_EXPONENT = 60


def retrying(
    retry: Retry, rng: Random, sleep: Callable[[float], Awaitable[None]], given_up: Callable[[], bool] = lambda: False
) -> AsyncRetrying:
    """The policy for one window: `retry.attempts` in all, full jitter between them, `Retry-After` as the least wait.

    `given_up`: whether no more is to be tried, however few they were.
    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        told = error.headers.retry_after if isinstance(error, ApiError) else None
        return max(told or 0.0, rng.uniform(0.0, max_backoff(retry, state.attempt_number)))

    return AsyncRetrying(
        sleep=sleep,
        wait=wait,
        stop=lambda state: state.attempt_number >= retry.attempts or given_up(),
        retry=retry_if_exception_type(RetryableError),
        reraise=True,
    )


def max_backoff(retry: Retry, failed: int) -> float:
    """Seconds at most before the next attempt, after so many failed ones (1 or more)."""
    return min(retry.max_seconds, retry.base_seconds * 2.0 ** min(failed - 1, _LARGEST_EXPONENT))


EXHAUSTED_IN_A_ROW = 10
"""Windows that used up their attempts, with no answer between them."""

SILENT_SECONDS = 300.0
"""From the first of the attempts in a row that no reply came to until the last of them."""

SILENT_IN_A_ROW = 10
"""So many of them at least: between two there may lie an hour in which the lane waited for its pool."""

REFUSED_AT_FIRST = 50
"""Series refused (400) in a run that has had no answer at all: then it is no single series that is wrong."""


class CircuitBreaker:
    """`patience`: failed attempts in a row after which the lane is on `probation`: one window at a time."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._attempts = 0
        self._exhausted = 0
        self._refused = 0
        self._silent = 0
        self._silent_since = self._silent_until = 0.0
        self._answered = False

    @property
    def probation(self) -> bool:
        """Whether so many attempts in a row failed that one window alone should go on trying."""
        return self._attempts >= self._patience

    @property
    def tripped(self) -> str | None:
        """Why the lane is to stop; None while it is not."""
        if self._exhausted >= EXHAUSTED_IN_A_ROW:
            return f"stopped after {self._exhausted} windows in a row failed in every attempt"
        silence = self._silent_until - self._silent_since
        if self._silent >= SILENT_IN_A_ROW and silence >= SILENT_SECONDS:
            return f"stopped after {silence / 60:.0f} minutes without any reply"
        if self._refused >= REFUSED_AT_FIRST and not self._answered:
            return f"stopped after {self._refused} series were refused and none was answered"
        return None

    def answered(self) -> None:
        """A window was answered."""
        self._answered = True
        self._attempts = self._exhausted = self._silent = 0

    def heard(self) -> None:
        """A reply came, whatever it said."""
        self._silent = 0

    def heard_nothing(self, now: float) -> None:
        """An attempt ended without a reply; `now` is in seconds, of a clock that only goes on."""
        if not self._silent:
            self._silent_since = now
        self._silent += 1
        self._silent_until = now

    def attempt_failed(self) -> None:
        """An attempt failed that may be made again."""
        self._attempts += 1

    def window_failed(self) -> None:
        """A window used up its attempts."""
        self._exhausted += 1

    def series_refused(self) -> None:
        """A series was refused."""
        self._refused += 1
