"""A pool that remembers what was left of it at each request, and others who spend from it meanwhile."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collector.simulator.sites import QuotaServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.clock import Clock
    from collector.simulator.options import PoolOptions
    from tests.processes.program import Site


@dataclass(slots=True)
class Period:
    """One period of the pool: requests taken, what the last of them left, and seconds until the first of them."""

    first_after: float
    taken: int = 0
    left: int = 0
    refused: int = 0


class WatchedPool(QuotaServer):
    """The stand-in's pool with a memory."""

    def __init__(self, options: PoolOptions, clock: Clock) -> None:
        super().__init__(options, clock)
        self._seconds = options.period_seconds
        self._clock = clock
        self.periods: dict[int, Period] = {}
        self._alone = threading.Lock()

    def take(self) -> bool:
        """Spend one, and write it down."""
        with self._alone:
            taken = super().take()
            number, after = divmod(self._clock.now().timestamp(), self._seconds)
            period = self.periods.setdefault(int(number), Period(after))
            period.taken += taken
            period.refused += not taken
            period.left = self.remaining
            return taken

    def spend(self, requests: int) -> None:
        """Others spend."""
        with self._alone:
            super().spend(requests)

    def whole(self) -> list[Period]:
        """The periods between the first and the last, which were not used from end to end."""
        return [self.periods[number] for number in sorted(self.periods)][1:-1]


def watch(site: Site, workspace: str = "acme") -> WatchedPool:
    """Put a watched pool in the place of the workspace's own."""
    sites = site.simulation.workspaces
    key, served = next((key, served) for key, served in sites.items() if served.name == workspace)
    pool = WatchedPool(site.simulation.options.pool, site.simulation.clock)
    sites[key] = replace(served, quota=pool)
    return pool


@contextmanager
def others_spend(site: Site, every: float, workspace: str = "acme") -> Iterator[None]:
    """One request at a time, while the block runs."""
    ended = threading.Event()

    def spend() -> None:
        while not ended.wait(every):
            site.simulation.spend(workspace, 1)

    thread = threading.Thread(target=spend)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
