"""How often a failed window is tried again, and when a workspace stops trying at all. Pure, but for tenacity's sleep.

`retrying` is the config's `retry` as a policy of tenacity: when does one window stop, and how long does it wait?
`CircuitBreaker` counts what came of all windows of a workspace: when has so much failed that the workspace stops?
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
"""Any wait is at its maximum long before; a power of 1,024 would raise OverflowError."""

EXHAUSTED_IN_A_ROW = 10
"""Windows that used up their attempts, with no answer between them."""

SILENT_SECONDS = 300.0
"""From the first to the last of consecutive attempts that got no reply."""

SILENT_IN_A_ROW = 10
"""At least this many of them: between two, the workspace may have waited an hour for its quota."""

REFUSED_AT_FIRST = 50
"""Series refused (400) in a run that has had no answer at all: then not the single series is wrong."""


def retrying(
    retry: Retry, rng: Random, sleep: Callable[[float], Awaitable[None]], stopped: Callable[[], bool] = lambda: False
) -> AsyncRetrying:
    """The policy for one window: `retry.attempts` in all, full jitter between them, at least `Retry-After` seconds.

    `stopped`: whether no further attempt is made, however few there were. One policy serves one window: tasks that
    shared one would mix up their counts.
    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        retry_after = error.headers.retry_after if isinstance(error, ApiError) else None
        # Full jitter: any time from 0 to the backoff, so that windows that failed together do not return together.
        return max(retry_after or 0.0, rng.uniform(0.0, max_backoff(retry, state.attempt_number)))

    return AsyncRetrying(
        sleep=sleep,
        wait=wait,
        stop=lambda state: state.attempt_number >= retry.attempts or stopped(),
        retry=retry_if_exception_type(RetryableError),
        reraise=True,
    )


def max_backoff(retry: Retry, failed: int) -> float:
    """The most seconds to wait after `failed` attempts (1 or more)."""
    return min(retry.max_seconds, retry.base_seconds * 2.0 ** min(failed - 1, _LARGEST_EXPONENT))


class CircuitBreaker:
    """Stops a workspace that gets nothing but failures, after a bounded number of requests.

    An answer to any window resets the counts. So a workspace with one dead segment goes on, and one whose server is
    down stops; the next run requests all of it again. Requests that get no reply each take their complete timeout, so
    they are limited by time as well: a workspace survives an outage of five minutes, and stops after that.

    `failure_threshold`: failed attempts in a row after which the breaker is half open: one window at a time is tried.
    """

    def __init__(self, failure_threshold: int) -> None:
        self._failure_threshold = failure_threshold
        self._failed_attempts = 0
        self._exhausted = 0
        self._refused = 0
        self._silent = 0
        self._silent_since = self._silent_until = 0.0
        self._answered = False

    @property
    def half_open(self) -> bool:
        """Whether so many attempts in a row failed that only one window goes on trying."""
        return self._failed_attempts >= self._failure_threshold

    @property
    def open_reason(self) -> str | None:
        """Why the workspace stops; None while it goes on."""
        if self._exhausted >= EXHAUSTED_IN_A_ROW:
            return f"stopped after {self._exhausted} windows in a row failed in every attempt"
        # Both a number and a time: ten timeouts at once are one moment of a bad network, and two that are minutes apart
        # are not an outage.
        silence = self._silent_until - self._silent_since
        if self._silent >= SILENT_IN_A_ROW and silence >= SILENT_SECONDS:
            return f"stopped after {silence / 60:.0f} minutes without any reply"
        # Never reset, but void after the first answer: then the ids of some series are wrong, not the workspace.
        if self._refused >= REFUSED_AT_FIRST and not self._answered:
            return f"stopped after {self._refused} series were refused and none was answered"
        return None

    def record_answer(self) -> None:
        """A window was answered."""
        self._answered = True
        self._failed_attempts = self._exhausted = self._silent = 0

    def record_reply(self) -> None:
        """A reply came, whatever its status."""
        self._silent = 0

    def record_no_reply(self, now: float) -> None:
        """An attempt ended without a reply. `now`: monotonic seconds."""
        # The silence starts with its first failure, not with the last reply: in between the workspace may have waited
        # for its quota.
        if not self._silent:
            self._silent_since = now
        self._silent += 1
        self._silent_until = now

    def record_failed_attempt(self) -> None:
        """An attempt failed that may be repeated."""
        self._failed_attempts += 1

    def record_failed_window(self) -> None:
        """A window used up its attempts."""
        self._exhausted += 1

    def record_refused_series(self) -> None:
        """A series was refused."""
        self._refused += 1
