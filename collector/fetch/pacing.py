"""How fast a lane may send: requests a second. Pool and reserve, which count by the hour, are in `pool.py`."""

from __future__ import annotations

from typing import Protocol

from asyncio_throttle.throttler import Throttler

_POLL_SECONDS = 0.001


class Pacer(Protocol):
    """Lets requests through at a bounded pace. One waits at a time: the lane sees to that."""

    async def acquire(self) -> None:
        """Wait until one more may be sent; at once, without a task switch, where there is room."""
        ...


class ThrottlePacer:
    """At most `per_second` requests in any second, by asyncio-throttle.

    The throttle polls: whoever waits on it wakes every `retry_interval` to look again, so one may wait, not hundreds.
    And it lets its whole limit through at once and then nothing for the rest of its period. So the second is cut into
    periods of about a fifth: short enough to be even, long enough that a poll of a millisecond costs little of it.
    """

    def __init__(self, per_second: float) -> None:
        limit, period = limit_and_period(per_second)
        self._throttler = Throttler(limit, period, retry_interval=_POLL_SECONDS)

    async def acquire(self) -> None:
        """Wait until one more may be sent."""
        await self._throttler.acquire()  # type: ignore[no-untyped-call]  # it says it is typed, and is not


def limit_and_period(per_second: float) -> tuple[int, float]:
    """Requests a period, and the period in seconds, such that no second, wherever it begins, holds too many.

    A whole number of periods makes the second, so that the limit of each, rounded down, never adds up to more; the
    number nearest to five is taken that loses less than one in two hundred to the rounding. Rates that have none such,
    like 2.5, are spaced evenly.
    """
    rates = {periods: int(per_second // periods) for periods in range(1, 11)}
    exact = [periods for periods, limit in rates.items() if limit * periods >= 0.995 * per_second]
    if not exact:
        return 1, 1 / per_second
    periods = min(exact, key=lambda number: abs(number - 5))
    return rates[periods], 1 / periods
