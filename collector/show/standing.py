"""Where lanes stand at one moment: what they did, how fast of late, how much is left. Reads progress, draws nothing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.show.figures import duration, pace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from collector.clock import Clock
    from collector.fetch.progress import LaneProgress

OF_LATE = 15.0
"""Seconds over which the present pace is taken."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A lane, or all of them, at one moment. `answered`, `failed`, `skipped`, `planned` count windows.

    `seconds_left` is None while the pace is unknown. `pool` is (left, limit), each None while the API has not told it;
    pools of several lanes make no sum.
    """

    name: str
    planned: int
    answered: int
    failed: int
    skipped: int
    per_second: float
    seconds_left: float | None
    pool: tuple[int | None, int | None] | None = None
    paused_until: datetime | None = None
    note: str = ""

    @property
    def settled(self) -> int:
        """Windows that have their outcome."""
        return self.answered + self.failed + self.skipped

    @property
    def active(self) -> bool:
        """Whether windows are still to come."""
        return self.settled < self.planned

    @property
    def state(self) -> str:
        """How it goes, in a few words: pace, pause, reason of a stop, time left."""
        if not self.planned:
            return "nothing to do"
        if not self.active:
            return self.note or "done"
        paused = f"paused until {self.paused_until:%H:%M:%SZ}" if self.paused_until else pace(self.per_second)
        left = "" if self.seconds_left is None else f"{duration(self.seconds_left)} left"
        return ", ".join(filter(None, (paused, self.note, left)))


class Readings:
    """Reads lanes again and again, and so knows their pace."""

    def __init__(self, lanes: Sequence[LaneProgress], clock: Clock) -> None:
        self._clock = clock
        self._tracks = [_Track(lane, clock.monotonic()) for lane in lanes]

    def take(self) -> list[Standing]:
        """Where each lane stands now."""
        now, seconds = self._clock.now(), self._clock.monotonic()
        return [track.standing(now, seconds) for track in self._tracks]


def total(standings: Sequence[Standing]) -> Standing:
    """All lanes as one. They run at the same time, so the longest is what is left."""
    left = [one.seconds_left for one in standings if one.active]
    return Standing(
        "all",
        sum(one.planned for one in standings),
        sum(one.answered for one in standings),
        sum(one.failed for one in standings),
        sum(one.skipped for one in standings),
        sum(one.per_second for one in standings),
        max((one for one in left if one is not None), default=None),
    )


class _Track:
    """One lane and what it had done at the last few readings."""

    def __init__(self, lane: LaneProgress, seconds: float) -> None:
        self._lane = lane
        self._began = (seconds, _asked(lane))
        self._samples = deque([self._began])

    def standing(self, now: datetime, seconds: float) -> Standing:
        lane = self._lane
        self._samples.append((seconds, _asked(lane)))
        while len(self._samples) > 2 and seconds - self._samples[1][0] >= OF_LATE:
            self._samples.popleft()
        paused_until = lane.paused_until if lane.paused_until is not None and lane.paused_until > now else None
        return Standing(
            lane.name,
            lane.planned,
            lane.done,
            lane.failed,
            lane.skipped,
            self._pace_since(self._samples[0]),
            self._seconds_left((paused_until or now) - now),
            (lane.pool_remaining, lane.pool_limit),
            paused_until,
            lane.note,
        )

    def _pace_since(self, then: tuple[float, int]) -> float:
        seconds, asked = self._samples[-1]
        return (asked - then[1]) / (seconds - then[0]) if seconds > then[0] else 0.0

    def _seconds_left(self, pause: timedelta) -> float | None:
        """At the pace of late or, in a pause, at that since the beginning; None where there is no pace."""
        lane = self._lane
        left = lane.planned - lane.skipped - _asked(lane)
        per_second = self._pace_since(self._samples[0]) or self._pace_since(self._began)
        return pause.total_seconds() + left / per_second if per_second > 0 else None


def _asked(lane: LaneProgress) -> int:
    return lane.done + lane.failed
