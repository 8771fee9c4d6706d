"""The request pool of one workspace: so many requests a period, refilled when the clock's period turns, never sooner.

Braze refills on the clock hour (no rolling window), so the period here is cut from the epoch: 3600 s gives clock hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.clock import Clock
    from collector.simulator.options import PoolOptions


class Pool:
    """Requests left in this period. All who hold the workspace's key draw on it."""

    def __init__(self, options: PoolOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._period = -1
        self._spent = 0

    def _turn(self) -> int:
        period = int(self._clock.now().timestamp()) // self._options.period_seconds
        if period != self._period:
            self._period, self._spent = period, 0
        return period

    @property
    def remaining(self) -> int:
        """Requests left until the reset."""
        self._turn()
        return max(0, self._options.limit - self._spent)

    def take(self) -> bool:
        """Spend one request; False where none is left."""
        self._turn()
        if self._spent >= self._options.limit:
            return False
        self._spent += 1
        return True

    def spend(self, requests: int) -> None:
        """Let others spend: production sends draw on the same pool. More than there is leaves it empty."""
        self._turn()
        self._spent = min(self._options.limit, self._spent + requests)

    def refill(self) -> None:
        """Fill it before its time, for tests that will not wait."""
        self._spent = 0

    def headers(self) -> dict[str, str]:
        """The three documented headers; the reset is in UTC epoch seconds. Braze sends them in lower case."""
        period = self._turn()
        return {
            "x-ratelimit-limit": str(self._options.limit),
            "x-ratelimit-remaining": str(max(0, self._options.limit - self._spent)),
            "x-ratelimit-reset": str((period + 1) * self._options.period_seconds),
        }
