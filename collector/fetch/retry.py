"""When and how often a failed window is asked again: the config's `retry`, as a policy of tenacity.

tenacity costs some fifty microseconds a call, so the first attempt is made without it, and it is entered with the
failure of that attempt, which it counts as its first. One policy object serves one window: shared between tasks it
would mix up their counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from collector.api.errors import ApiError, AskAgainError

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
        return max(told or 0.0, rng.uniform(0.0, longest_wait(retry, state.attempt_number)))

    return AsyncRetrying(
        sleep=sleep,
        wait=wait,
        stop=lambda state: state.attempt_number >= retry.attempts or given_up(),
        retry=retry_if_exception_type(AskAgainError),
        reraise=True,
    )


def longest_wait(retry: Retry, failed: int) -> float:
    """Seconds at most before the next attempt, after so many failed ones (1 or more)."""
    return min(retry.max_seconds, retry.base_seconds * 2.0 ** min(failed - 1, _LARGEST_EXPONENT))
