"""The made-up sessions of an app: a smooth cumulative curve, and the part of it that the API knows at an instant.

In: the seed, an app, its time zone. Out: cumulative totals; the count of a bucket is the difference of two totals.
Counts therefore add up exactly for buckets of any size and zone, and each bucket takes the same time to compute.
Times are hours since 1970-01-01T00:00Z, as floats. Nothing here reads a clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from collector.buckets import EPOCH, date_of, midnight
from collector.simulator.options import hash_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from zoneinfo import ZoneInfo

    from collector.config.settings import App
    from collector.simulator.options import LateOptions

_SIZES = (("ios", 3.0), ("android", 2.0), ("web", 1.2))
_RHYTHM = ((24.0, 0.52, 19.0), (12.0, 0.14, 12.5), (168.0, 0.12, 60.0))
"""Period in hours, amplitude and local hour of the peak: evenings, noons, weekends (hour 0 starts a Thursday)."""
_NOISE = ((7.31, 0.03), (19.7, 0.03), (61.3, 0.04), (701.7, 0.05))
"""Period in hours and amplitude; each app has its own phases.

All amplitudes add up to less than 1, so the rate of sessions is always positive.
"""
_YEAR = 8766.0
_NEVER_LATE_BELOW = 0.4
"""A day or an hour whose hash is below this number is never late."""


def hours_of(instant: datetime) -> float:
    """The instant as hours since 1970-01-01T00:00Z."""
    return (instant - EPOCH).total_seconds() / 3600


def standard_shift(zone: ZoneInfo) -> int:
    """Full hours by which the zone is ahead of UTC in January 2026. Daylight saving time does not matter here."""
    offset = datetime(2026, 1, 15, tzinfo=zone).utcoffset()
    return math.floor(offset.total_seconds() / 3600) if offset else 0


class Traffic:
    """The sessions of one app. `known_sessions` is the part that the API knows at an instant."""

    def __init__(self, seed: int, app: App, zone: ZoneInfo, late: LateOptions, *, young: bool) -> None:
        self._root = (seed, app.id)
        self._shift = standard_shift(zone)
        self._late = late
        self.start = hours_of(midnight(app.start, zone)) if young and app.start else -math.inf
        self._base = (250 + 650 * hash_unit(*self._root, "base")) * _size(app.name)
        self._growth = 0.3 + 1.2 * hash_unit(*self._root, "growth")
        self._middle = hours_of(datetime(2024, 6, 1, tzinfo=EPOCH.tzinfo)) + 2 * _YEAR * hash_unit(
            *self._root, "middle"
        )
        self._waves = tuple(self._rhythm_waves()) + tuple(self._noise_waves())
        self.cumulative = lru_cache(maxsize=4096)(self._cumulative)
        self._late_shares = lru_cache(maxsize=16)(self._make_late_shares)
        self._late_table = lru_cache(maxsize=512)(self._make_late_table)

    def _rhythm_waves(self) -> list[tuple[float, float, float]]:
        # The derivative of a wave in `_cumulative` is amplitude * cos(speed * hours + phase): with this phase it is at
        # its maximum at the local hour `peak`.
        waves = [(math.tau / period, amplitude, peak) for period, amplitude, peak in _RHYTHM]
        return [(speed, amplitude / speed, speed * (self._shift - peak)) for speed, amplitude, peak in waves]

    def _noise_waves(self) -> list[tuple[float, float, float]]:
        waves = [(math.tau / period, amplitude) for period, amplitude in _NOISE]
        return [(speed, amplitude / speed, math.tau * hash_unit(*self._root, speed)) for speed, amplitude in waves]

    def _cumulative(self, hours: float) -> float:
        """Sessions up to the instant, counted from an arbitrary origin.

        The waves warp the time, and the growth (an integrated logistic step over some years) is taken of the warped
        time. The derivative is growth times (1 + waves). It is positive, so no count is negative.
        """
        warped = hours
        for speed, reach, phase in self._waves:
            warped += reach * math.sin(speed * hours + phase)
        z = (warped - self._middle) / _YEAR
        # The integral of the logistic function, log(1 + exp(z)), in a form that does not overflow for a large z.
        softplus = max(z, 0.0) + math.log1p(math.exp(-abs(z)))
        return self._base * (warped + self._growth * _YEAR * softplus)

    def reporting_day(self, now: float) -> int:
        """The number of the day that `now` is in, by the zone's winter time. Late sessions arrive when it changes."""
        return math.floor((now + self._shift) / 24)

    def known_sessions(self, edges: Sequence[float], now: float, fraction: float) -> list[int]:
        """Totals of sessions that started before each instant, as far as they are known at `now`.

        They are counted from an arbitrary origin. `fraction` is the part of all users that counts. A total never falls,
        neither with a later instant nor with a later `now`.
        """
        # Nothing is known of the future, and there was nothing before the app's start.
        edges = [max(min(edge, now), self.start) for edge in edges]
        totals = [math.floor(fraction * self.cumulative(edge)) for edge in edges]
        day = self.reporting_day(now)
        if not self._late.share or edges[-1] <= self._first_late(day):
            return totals
        return [total - self._missing(edge, total, day, fraction) for edge, total in zip(edges, totals, strict=True)]

    def _missing(self, edge: float, total: int, day: int, fraction: float) -> int:
        """How many of the sessions before the instant are not known yet.

        Each hour lacks an integer number of sessions. Hours that are never late therefore keep their counts exactly
        when others are restated.
        """
        before, shares = self._late_table(day, fraction)
        index = math.floor(edge) - self._first_late(day)
        if index < 0:
            return 0
        index = min(index, len(shares) - 1)
        # Of the hour that the instant is in, the sessions up to the instant lack the hour's share. Rounding down keeps
        # the number an integer, and at the hour's end it is what the table has for the complete hour.
        started = total - math.floor(fraction * self.cumulative(float(self._first_late(day) + index)))
        return before[index] + math.floor(shares[index] * started)

    def _first_late(self, day: int) -> int:
        """The first hour that can lack sessions."""
        return (day - self._late.days) * 24 - self._shift

    def _make_late_table(self, day: int, fraction: float) -> tuple[list[int], list[float]]:
        """For each recent hour: sessions missing in all hours before it, and the missing share of its own."""
        first, shares = self._first_late(day), self._late_shares(day)
        totals = [math.floor(fraction * self.cumulative(float(first + index))) for index in range(len(shares))]
        missing = [
            math.floor(share * (after - begin)) for share, (begin, after) in zip(shares, pairwise(totals), strict=False)
        ]
        return [0, *accumulate(missing)], shares

    def _make_late_shares(self, day: int) -> list[float]:
        return [
            self._late_share(hour, day)
            for hour in range(self._first_late(day), self._first_late(day) + 24 * (self._late.days + 1))
        ]

    def _late_share(self, hour: int, day: int) -> float:
        day_of_hour = (hour + self._shift) // 24
        # Some days, and some hours of the other days, are never late: only a part of the buckets is restated.
        if hash_unit(*self._root, "late day", day_of_hour) < _NEVER_LATE_BELOW:
            return 0.0
        weight = hash_unit(*self._root, "late hour", hour)
        # The share falls in equal steps to 0 after `days` days: what is missing arrives day by day.
        left = max(0.0, 1 - (day - day_of_hour) / self._late.days) if self._late.days else 0.0
        return self._late.share * left * weight if weight >= _NEVER_LATE_BELOW else 0.0


@dataclass(frozen=True, slots=True)
class Measure:
    """How a metric's values follow from sessions.

    `share`: values for each session. `days`: those of so many days up to the bucket's end count. `together`: the share
    that is left where apps are added up, since they have users in common. `price`: what one is worth, for an amount.
    `as_float`: counts are written as floats.
    """

    share: float = 1.0
    days: int = 1
    together: float = 1.0
    price: float | None = None
    as_float: bool = False

    def value(self, count: int, apps: int) -> float:
        """The value of a bucket with that many counted in its apps."""
        if apps > 1:
            count = math.floor(count * self.together)
        return count if self.price is None else round(count * self.price, 2)


MEASURES = {
    "sessions": Measure(),
    "new_users": Measure(0.06),
    "dau": Measure(0.55, together=0.9),
    "mau": Measure(0.09, days=30, together=0.8),
    "uninstalls": Measure(0.015),
    "segment_size": Measure(0.2, days=30, together=0.8, as_float=True),
    "events": Measure(0.4),
    "revenue": Measure(0.03, price=12.49),
    "purchases": Measure(0.03),
}
"""The truth of every metric of the catalogue. As in a real app, most counts are a part of the sessions."""


def event_fraction(seed: int, event: str | None) -> float:
    """How often an event happens, compared with others: 5 to 100 per cent."""
    return 1.0 if event is None else 0.05 + 0.95 * hash_unit(seed, "event", event)


def segment_fraction(seed: int, app_id: str, segment_id: str) -> float:
    """The fraction of an app's sessions that belong to a segment: 2 to 35 per cent."""
    return 0.02 + 0.33 * hash_unit(seed, app_id, "segment", segment_id)


@lru_cache(maxsize=256)
def day_edges(zone: ZoneInfo) -> Callable[[int], float]:
    """A cached function from day bucket to its start in hours. Time zone arithmetic is slow."""
    return lru_cache(maxsize=16384)(lambda bucket: hours_of(midnight(date_of(bucket), zone)))


def _size(name: str) -> float:
    return next((size for word, size in _SIZES if word in name.lower()), 0.7)
