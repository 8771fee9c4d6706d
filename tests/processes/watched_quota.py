"""A quota of the stand-in that records what was left of it at each request, and other clients that use it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collector.metrics import SHARED
from collector.simulator.sites import QuotaServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.clock import Clock
    from collector.simulator.options import PoolOptions
    from tests.support.site import Site


@dataclass(slots=True)
class Period:
    """One period of the quota: requests taken and refused, what was left, and seconds until the first request."""

    first_after: float
    taken: int = 0
    left: int = 0
    refused: int = 0


class WatchedQuota(QuotaServer):
    """The stand-in's quota, with a record of each period."""

    def __init__(self, options: PoolOptions, clock: Clock) -> None:
        super().__init__(options, clock)
        self._seconds = options.period_seconds
        self._clock = clock
        self.periods: dict[int, Period] = {}
        self._alone = threading.Lock()

    def take(self) -> bool:
        """Take one request, and record it."""
        with self._alone:
            taken = super().take()
            number, after = divmod(self._clock.now().timestamp(), self._seconds)
            period = self.periods.setdefault(int(number), Period(after))
            period.taken += taken
            period.refused += not taken
            period.left = self.remaining
            return taken

    def spend(self, requests: int) -> None:
        """Other clients use requests."""
        with self._alone:
            super().spend(requests)

    def complete_periods(self) -> list[Period]:
        """All periods but the first and the last, which the run did not use from end to end."""
        return [self.periods[number] for number in sorted(self.periods)][1:-1]


def watch(site: Site, workspace: str = "acme") -> WatchedQuota:
    """Replace the workspace's quota by a watched one."""
    sites = site.simulation.workspaces
    key, served = next((key, served) for key, served in sites.items() if served.name == workspace)
    quota = WatchedQuota(site.simulation.options.pool, site.simulation.clock)
    sites[key] = replace(served, quotas={**served.quotas, SHARED.name: quota})
    return quota


@contextmanager
def others_spend(site: Site, every: float, workspace: str = "acme") -> Iterator[None]:
    """Other clients send one request every `every` seconds, until the end of the block."""
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
