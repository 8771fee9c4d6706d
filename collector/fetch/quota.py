"""The hourly quota of a workspace, which is shared with production sends: may one more request be sent? Pure.

In: what the headers of each reply report, and the instants at which things happen. Out: yes or no, and until when not.
Never here: waiting, sending, a clock.

The quota refills on the clock hour. Within an hour the lowest reported `remaining` counts, less everything in flight,
since replies overtake one another. At the start of each hour, and after each pause, one request goes ahead alone, so
that a quota which others have used up is seen before it is overdrawn.
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
"""A reported reset further away than this is not believed: the quota refills within the hour.

The five minutes beyond it are for a clock of this machine that is behind the server's.
"""
_SAME_RESET = timedelta(seconds=60)
"""Two reported resets that are no further apart are one and the same."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 300.0


class Quota:
    """`per_hour`: the limit, until a reply reports one. `capped`: whether a reported one may only be lower.

    `reserve`: the share of the limit that is left to others, from 0 to 1. `jitter` gives a number from 0 to 1: seconds
    added to each pause, so that many workspaces do not return at once.

    An *epoch* is the time between two pauses or refills. A reply to a request of an earlier epoch says nothing about
    the quota as it is now, and is only counted as no longer in flight.
    """

    def __init__(self, per_hour: int, reserve: float, jitter: Callable[[], float], *, capped: bool = True) -> None:
        self._per_hour, self._capped = per_hour, capped
        self._reserve = reserve
        self._jitter = jitter
        self.remaining: int | None = None
        """The lowest that was reported in this hour; None before any was."""
        self.closed_until: datetime | None = None
        """When a request may be sent again; None while the quota is open."""
        self.in_flight = 0
        self._epoch = 0
        self._replied = False  # has a reply of this epoch come?
        self._sent = 0  # in this hour
        self._unreported = 0  # replied to in this hour, and perhaps not yet counted in `remaining`
        self._reset: datetime | None = None  # the end of this hour
        self._reset_reported = False  # by a header that can be believed
        self._reset_passed = False  # the last header reported an instant that had passed
        self._pauses = 0  # short ones in a row
        self._set_limit(per_hour)

    def _set_limit(self, limit: int) -> None:
        self.limit = limit
        # The tiny number compensates for rounding: 0.07 * 100 is a little more than 7, and would reserve 8.
        reserved = min(ceil(limit * self._reserve - 1e-9), limit - 1)  # at least one request is left to use
        self._usable = limit - reserved
        # Above the reserve, room for what others may spend while a request is in flight: one in a hundred, at most 100.
        self._minimum_remaining = reserved + min(self._usable // 100, 100)

    def available(self) -> int:
        """How many more requests may be sent in this hour, as far as is known; those in flight count as sent."""
        # Two limits hold at once: what the config allows us, by our own count, and what the server reported last, less
        # everything that it may not have counted yet.
        by_config = self._usable - self._sent
        if self.remaining is None:
            return by_config
        return min(by_config, self.remaining - self._minimum_remaining - self._unreported - self.in_flight)

    def may_send(self, now: datetime) -> bool:
        """Whether one more request may be sent. If not: wait until `closed_until` or, if None, for the next reply."""
        # A pause has ended, or the hour has: in both cases what was known of the quota is out of date.
        if self.closed_until is not None:
            if now < self.closed_until:
                return False
            self._begin_epoch(now)
        elif self._reset is not None and now >= self._reset:
            self._begin_epoch(now)
        # As many again as are in flight are kept back for what others spend meanwhile. That matters only near the
        # minimum: with thousands available it changes nothing.
        if self.available() > self.in_flight:
            # The first request of an epoch goes alone: only its reply shows what others have left.
            return self._replied or self.in_flight == 0
        # While a request is in flight, its reply may bring news: wait for it. With none in flight nothing can change
        # before the quota refills.
        if self.in_flight == 0:
            self._close(now)
        return False

    def count_sent(self, now: datetime) -> int:
        """A request is sent. Returns the epoch, to be passed to `record_reply` or `record_429`."""
        self.in_flight += 1
        self._sent += 1
        if self._reset is None:
            # By this machine's clock, until a header reports the server's own.
            self._reset = _next_hour(now)
        return self._epoch

    def record_reply(self, epoch: int, headers: RateLimitHeaders, now: datetime) -> None:
        """A reply came, or the request failed without one (NO_HEADERS), in which case it may have counted as well."""
        # Requests in flight are counted across epochs: those of an earlier one may still be counted in this hour.
        self.in_flight -= 1
        if epoch != self._epoch:
            return
        self._replied = True
        if headers.reset is not None:
            self._learn_reset(headers.reset, now)
        # The config's number is a cap: a reported limit lowers it, and never raises it. One that is not the config's is
        # what the pages say, until the server says what holds.
        limit = headers.limit and (min(headers.limit, self._per_hour) if self._capped else headers.limit)
        if limit and limit != self.limit:
            self._set_limit(limit)
        # Replies overtake one another, so only a lower `remaining` is news. Whatever was answered before it is in it.
        if headers.remaining is None:
            self._unreported += 1
        elif self.remaining is None or headers.remaining < self.remaining:
            self.remaining = headers.remaining
            self._unreported = 0
            if headers.remaining > self._minimum_remaining:
                self._pauses = 0

    def record_429(self, epoch: int, headers: RateLimitHeaders, now: datetime) -> None:
        """A 429 came: nothing is sent until `Retry-After` or, without one, until the quota refills.

        Where the headers say that the quota is at its minimum: not before it refills, whatever `Retry-After` says.
        Where they say that it is not, and there is no `Retry-After`: for a short time, which doubles each time.
        """
        # The headers first: they may say that the quota is used up, or move its reset.
        self.record_reply(epoch, headers, now)
        if epoch != self._epoch or self.closed_until is not None:
            return  # one of many 429s to requests that were in flight together: the first has closed the quota
        used_up = headers.remaining is not None and headers.remaining <= self._minimum_remaining
        if headers.retry_after is not None and not used_up:
            self._close_for(headers.retry_after, now)
        elif headers.remaining is None or used_up:
            self._close(now, at_least=headers.retry_after or 0.0)
        else:
            self._pause(now)

    def _learn_reset(self, reported: datetime, now: datetime) -> None:
        """Believe a reported reset only where it is ahead, and within the hour."""
        self._reset_passed = reported <= now
        if not now < reported <= now + _FURTHEST_RESET:
            return
        # Only two reported instants are compared. One that was assumed says when this machine's hour ends, not the
        # server's.
        if self._reset_reported and self._reset is not None and reported > self._reset + _SAME_RESET:
            self._refill()  # the server's hour has ended, whatever this machine's clock says
        # Of several reports of one instant the earliest counts: the others took longer on the way.
        same = self._reset_reported and self._reset is not None and abs(reported - self._reset) <= _SAME_RESET
        self._reset = min(reported, self._reset) if same and self._reset is not None else reported
        self._reset_reported = True

    def _close(self, now: datetime, at_least: float = 0.0) -> None:
        """Nothing is sent before the hour ends, nor for `at_least` seconds."""
        if self._reset_passed and self._sent < self._usable:
            # The server says that the hour has ended, so this machine's clock is ahead of it, or the server is wrong.
            # Waiting for an hour by this clock could be an hour too long: wait a little and ask again.
            self._pause(now)
            return
        until = self._reset if self._reset is not None and self._reset > now else _next_hour(now)
        self._close_for(max(at_least, (until - now).total_seconds()), now)

    def _pause(self, now: datetime) -> None:
        self._close_for(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**self._pauses), now)
        # The longest pause is reached before ten; the bound keeps the power from growing without end.
        self._pauses = min(self._pauses + 1, 10)

    def _close_for(self, seconds: float, now: datetime) -> None:
        self.closed_until = now + timedelta(seconds=seconds + self._jitter())

    def _begin_epoch(self, now: datetime) -> None:
        self._epoch += 1
        self._replied = False
        self.closed_until = None
        if self._reset is not None and now >= self._reset:
            self._reset, self._reset_reported = None, False
            self._refill()
            # Back to the config's limit until a header reports one: a wrong one must not close the quota for good.
            self._set_limit(self._per_hour)
        # What was reported before a pause is out of date after it: others may have spent, or the quota has refilled.
        # The first reply of the new epoch reports it again. `_sent` is reset by a refill alone: it is our own count.
        self.remaining = None
        self._unreported = 0

    def _refill(self) -> None:
        self.remaining = None
        self._unreported = self._sent = 0


def _next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + _HOUR
