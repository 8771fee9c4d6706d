"""What the stand-in has been asked: counts by outcome, the busiest second, the newest requests. No key is kept."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.clock import Clock

Parameters = tuple[tuple[str, str], ...]
"""A request's query, sorted by name, without the key."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the API. `outcome` is the status, or `reset`, `cut` where none was told whole."""

    workspace: str | None
    path: str
    parameters: Parameters
    outcome: str


class Tally:
    """Counts requests to the API (those to the control endpoints are none). Written by the server's thread alone."""

    def __init__(self, clock: Clock, remembered: int = 20_000) -> None:
        self._clock = clock
        self.asked: deque[Asked] = deque(maxlen=remembered)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.requests = 0
        self.by_outcome: Counter[str] = Counter()
        self.by_workspace: Counter[str] = Counter()
        self.busiest_second = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self._second: deque[float] = deque()
        self.asked.clear()

    def arrive(self) -> None:
        """Count a request that came in, in its one-second window and among those in flight."""
        now = self._clock.monotonic()
        self.requests += 1
        second = self._second
        second.append(now)
        while second[0] <= now - 1.0:
            second.popleft()
        self.busiest_second = max(self.busiest_second, len(second))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def leave(self) -> None:
        """Count a request out of those in flight."""
        self.in_flight = max(0, self.in_flight - 1)

    def settle(self, asked: Asked) -> None:
        """Count how a request was answered."""
        self.asked.append(asked)
        self.by_outcome[asked.outcome] += 1
        if asked.workspace is not None:
            self.by_workspace[asked.workspace] += 1
