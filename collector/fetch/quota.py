"""The workspace's pool of requests, which is shared with production sends: may one more go? Pure.

In: what the headers of each answer tell, and the instants at which things happen. Out: yes or no, and until when not.
Never here: waiting, sending, a clock.

The pool refills on the clock hour. Within such a period the lowest `remaining` told counts, less all that is under way,
since answers overtake one another. At the start of each period, and after each pause, one request goes ahead alone, so
that a pool which others have emptied is seen before it is overdrawn.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.api.headers import RateLimitHeaders


_HOUR = timedelta(hours=1)
_FURTHEST_RESET = timedelta(minutes=65)
_SAME_RESET = timedelta(seconds=60)
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 300.0


class Quota:
    """`per_hour`: what the config says the pool holds. `reserve`: the share of it left to others, from 0 to 1.

    `jitter` gives a number from 0 to 1: seconds added to each pause, so that many lanes do not return at once.
    """

    def __init__(self, per_hour: int, reserve: float, jitter: Callable[[], float]) -> None:
        self._per_hour = per_hour
        self._reserve = reserve
        self._jitter = jitter
        self.remaining: int | None = None
        """The lowest that was told in this period; None before any was."""
        self.closed_until: datetime | None = None
        """When it may be asked again; None while it is open."""
        self.in_flight = 0
        self._turn = 0  # counts periods and pauses, to tell late answers
        self._seen = False  # has an answer come in this turn?
        self._own = 0  # sent in this period
        self._unseen = 0  # answered in this period, and perhaps not in what `remaining` tells
        self._reset: datetime | None = None  # the end of this period
        self._reset_told = False  # by a header that can be believed
        self._reset_passed = False  # the last header told an instant that had passed
        self._pauses = 0  # short ones in a row
        self._size(per_hour)

    def _size(self, limit: int) -> None:
        self.limit = limit
        reserved = min(ceil(limit * self._reserve - 1e-9), limit - 1)  # rounding leaves nobody a pool of nothing
        self._usable = limit - reserved
        # Beyond the reserve, what others may spend while a request is under way: one in a hundred, and never many.
        self._floor = reserved + min(self._usable // 100, 100)

    def headroom(self) -> int:
        """How many more may be sent in this period by all that is known; those under way count as sent."""
        own = self._usable - self._own
        if self.remaining is None:
            return own
        return min(own, self.remaining - self._floor - self._unseen - self.in_flight)

    def may_send(self, now: datetime) -> bool:
        """Whether one more request may go. If not: not before `closed_until`; where that is None, the next answer."""
        if self.closed_until is not None:
            if now < self.closed_until:
                return False
            self._begin_turn(now)
        elif self._reset is not None and now >= self._reset:
            self._begin_turn(now)
        # Half of what is left is kept back for what others spend meanwhile, which matters near the floor alone.
        room = self.headroom()
        if room > self.in_flight:
            return self._seen or self.in_flight == 0
        if self.in_flight == 0:
            self._close(now)
        return False

    def sent(self, now: datetime) -> int:
        """A request goes. The number given is to be handed back with its answer."""
        self.in_flight += 1
        self._own += 1
        if self._reset is None:
            self._reset = _next_hour(now)
        return self._turn

    def withdrawn(self, turn: int) -> None:
        """What `sent` gave was not sent."""
        self.in_flight -= 1
        if turn == self._turn:
            self._own -= 1

    def answered(self, turn: int, headers: RateLimitHeaders, now: datetime) -> None:
        """An answer came, or the request failed without one (headers that are `SILENT`); it may have cost one."""
        self.in_flight -= 1
        if turn != self._turn:
            return  # it tells of a pool that may have been refilled since
        self._seen = True
        if headers.reset is not None:
            self._learn_reset(headers.reset, now)
        if headers.limit and min(headers.limit, self._per_hour) != self.limit:
            self._size(min(headers.limit, self._per_hour))
        if headers.remaining is None:
            self._unseen += 1
        elif self.remaining is None or headers.remaining < self.remaining:
            self.remaining = headers.remaining
            self._unseen = 0
            if headers.remaining > self._floor:
                self._pauses = 0

    def refused(self, turn: int, headers: RateLimitHeaders, now: datetime) -> None:
        """A 429 came: nothing goes until `Retry-After`; without one, until the pool refills.

        Where the headers tell that the pool is at its floor, not before it refills, whatever `Retry-After` says; where
        they tell that it is not, and no `Retry-After` comes, for a short while that grows.
        """
        self.answered(turn, headers, now)
        if turn != self._turn or self.closed_until is not None:
            return  # one of many that were under way together
        empty = headers.remaining is not None and headers.remaining <= self._floor
        if headers.retry_after is not None and not empty:
            self._close_for(headers.retry_after, now)
        elif headers.remaining is None or empty:
            self._close(now, at_least=headers.retry_after or 0.0)
        else:
            self._pause(now)

    def _learn_reset(self, told: datetime, now: datetime) -> None:
        """The pool refills within the hour: an instant that has passed, or a further one, is not believed."""
        self._reset_passed = told <= now
        if not now < told <= now + _FURTHEST_RESET:
            return
        if self._reset_told and self._reset is not None and told > self._reset + _SAME_RESET:
            self._refill()  # ahead of this machine's clock
        self._reset, self._reset_told = told, True

    def _close(self, now: datetime, at_least: float = 0.0) -> None:
        """Nothing goes before the period ends, nor for `at_least` seconds."""
        if self._reset_passed and self._own < self._usable:
            self._pause(now)  # it has, says the server: this machine's clock is ahead of it, or it is wrong
            return
        until = self._reset if self._reset is not None and self._reset > now else _next_hour(now)
        self._close_for(max(at_least, (until - now).total_seconds()), now)

    def _pause(self, now: datetime) -> None:
        self._close_for(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**self._pauses), now)
        self._pauses = min(self._pauses + 1, 10)

    def _close_for(self, seconds: float, now: datetime) -> None:
        self.closed_until = now + timedelta(seconds=seconds + self._jitter())

    def _begin_turn(self, now: datetime) -> None:
        self._turn += 1
        self._seen = False
        self.closed_until = None
        if self._reset is not None and now >= self._reset:
            self._reset, self._reset_told = None, False
            self._refill()
            self._size(
                self._per_hour
            )  # until a limit is told again: one that was wrong must not shut the pool for good
        self.remaining = None
        self._unseen = 0

    def _refill(self) -> None:
        self.remaining = None
        self._unseen = self._own = 0


def _next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + _HOUR
