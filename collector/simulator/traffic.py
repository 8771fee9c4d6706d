"""How many sessions an app had up to any instant: a smooth curve in closed form, and the part of it seen so far.

In: the seed, an app, its zone. Out: cumulative sessions as a float, whose floors' differences are the counts. So counts
add up exactly, whatever buckets the time is cut into and in whatever zone, and any bucket costs the same.
Times are hours since 1970-01-01T00:00Z, as floats. Nothing here reads a clock.
"""

from __future__ import annotations

import math
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
"""Period, swing and local hour of the peak: evenings, noons, weekends (hour 0 was the start of a Thursday)."""
_NOISE = ((7.31, 0.03), (19.7, 0.03), (61.3, 0.04), (701.7, 0.05))
"""Period and swing; the phases are the app's own. All swings add up to less than 1, so the rate stays positive."""
_YEAR = 8766.0
_NEVER_LATE_BELOW = 0.4


def hours_of(instant: datetime) -> float:
    """The instant as hours since 1970-01-01T00:00Z."""
    return (instant - EPOCH).total_seconds() / 3600


def standard_shift(zone: ZoneInfo) -> int:
    """Whole hours by which the zone is ahead of UTC in January 2026: near enough for a rhythm."""
    offset = datetime(2026, 1, 15, tzinfo=zone).utcoffset()
    return math.floor(offset.total_seconds() / 3600) if offset else 0


class Traffic:
    """The sessions of one app, of all its users. `seen` is what the API knows of them at an instant."""

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
        self._late_table = lru_cache(maxsize=64)(self._make_late_table)

    def _rhythm_waves(self) -> list[tuple[float, float, float]]:
        turns = [(math.tau / period, swing, peak) for period, swing, peak in _RHYTHM]
        return [(speed, swing / speed, speed * (self._shift - peak)) for speed, swing, peak in turns]

    def _noise_waves(self) -> list[tuple[float, float, float]]:
        turns = [(math.tau / period, swing) for period, swing in _NOISE]
        return [(speed, swing / speed, math.tau * hash_unit(*self._root, speed)) for speed, swing in turns]

    def _cumulative(self, hours: float) -> float:
        """Sessions up to the instant, from an arbitrary origin.

        Time itself is warped by the waves, and the growth (a logistic step over some years, integrated) is taken of the
        warped time: the derivative is growth times (1 + waves), which is positive, and all of it is in closed form.
        """
        warped = hours
        for speed, reach, phase in self._waves:
            warped += reach * math.sin(speed * hours + phase)
        z = (warped - self._middle) / _YEAR
        softplus = max(z, 0.0) + math.log1p(math.exp(-abs(z)))
        return self._base * (warped + self._growth * _YEAR * softplus)

    def step(self, now: float) -> int:
        """The day, by the zone's winter time, that `now` is in: what is seen of the past changes with it alone."""
        return math.floor((now + self._shift) / 24)

    def seen(self, edges: Sequence[float], now: float, fraction: float) -> list[int]:
        """Sessions begun before each of the instants, from an arbitrary origin, that are known at `now`.

        `fraction` is the part of all users that counts. The numbers grow with the instant and with `now`.
        """
        edges = [max(min(edge, now), self.start) for edge in edges]
        totals = [math.floor(fraction * self.cumulative(edge)) for edge in edges]
        step = self.step(now)
        if not self._late.share or edges[-1] <= self._first_late(step):
            return totals
        return [total - self._missing(edge, total, step, fraction) for edge, total in zip(edges, totals, strict=True)]

    def _missing(self, edge: float, total: int, step: int, fraction: float) -> int:
        """Of the sessions before the instant, those that are not known yet.

        Whole sessions are missing, hour by hour: so hours that are never late keep their counts when others restate.
        """
        before, shares = self._late_table(step, fraction)
        index = math.floor(edge) - self._first_late(step)
        if index < 0:
            return 0
        index = min(index, len(shares) - 1)
        begun = total - math.floor(fraction * self.cumulative(float(self._first_late(step) + index)))
        return before[index] + math.floor(shares[index] * begun)

    def _first_late(self, step: int) -> int:
        """The first hour of which anything can be missing."""
        return (step - self._late.days) * 24 - self._shift

    def _make_late_table(self, step: int, fraction: float) -> tuple[list[int], list[float]]:
        """For each hour of the last days: sessions missing ahead of it, and the share of its own that is missing."""
        first, shares = self._first_late(step), self._late_shares(step)
        totals = [math.floor(fraction * self.cumulative(float(first + index))) for index in range(len(shares))]
        missing = [
            math.floor(share * (after - begin)) for share, (begin, after) in zip(shares, pairwise(totals), strict=False)
        ]
        return [0, *accumulate(missing)], shares

    def _make_late_shares(self, step: int) -> list[float]:
        return [
            self._late_share(hour, step)
            for hour in range(self._first_late(step), self._first_late(step) + 24 * (self._late.days + 1))
        ]

    def _late_share(self, hour: int, step: int) -> float:
        day = (hour + self._shift) // 24
        # Some days, and some hours of the others, are never late, so that only a part of the buckets restate.
        if hash_unit(*self._root, "late day", day) < _NEVER_LATE_BELOW:
            return 0.0
        weight = hash_unit(*self._root, "late hour", hour)
        left = max(0.0, 1 - (step - day) / self._late.days) if self._late.days else 0.0
        return self._late.share * left * weight if weight >= _NEVER_LATE_BELOW else 0.0


def segment_fraction(seed: int, app_id: str, segment_id: str) -> float:
    """The part of an app's sessions that are a segment's: 2 to 35 in a hundred."""
    return 0.02 + 0.33 * hash_unit(seed, app_id, "segment", segment_id)


@lru_cache(maxsize=256)
def day_edges(zone: ZoneInfo) -> Callable[[int], float]:
    """For a zone: the start of a day bucket, in hours since 1970-01-01T00:00Z. Remembered, since zones are slow."""
    return lru_cache(maxsize=16384)(lambda bucket: hours_of(midnight(date_of(bucket), zone)))


def _size(name: str) -> float:
    return next((size for word, size in _SIZES if word in name.lower()), 0.7)
