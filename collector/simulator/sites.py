"""What one workspace looks like from the API's side: its key, its zone, what is known, untracked or dead in it.

The request pool of one workspace: so many requests a period, refilled when the clock's period turns, never sooner.

Braze refills on the clock hour (no rolling window), so the period here is cut from the epoch: 3600 s gives clock hours.

What the stand-in has been asked: counts by outcome, the busiest second, the newest requests. No key is kept.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from collector.simulator.options import DayZone, Options
from collector.simulator.traffic import Traffic, segment_fraction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.clock import Clock
    from collector.config.settings import App, Segment, Workspace
    from collector.model import SeriesKey
    from collector.simulator.options import PoolOptions


UTC_ZONE: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class SimulatedWorkspace:
    """One workspace as served. `zone`: where its days are cut; `traffic`: one entry for each live app, by its id."""

    workspace: Workspace
    api_key: str
    zone: ZoneInfo
    seed: int
    denied: bool
    traffic: Mapping[str, Traffic]
    segments: Mapping[str, Segment]
    untracked: frozenset[str]
    pool: QuotaServer

    @property
    def name(self) -> str:
        """The workspace's name."""
        return self.workspace.name

    def flows(self, key: SeriesKey) -> list[tuple[Traffic, float]]:
        """The apps that a series adds up, each with the fraction of its sessions that counts."""
        apps = [key.app_id] if key.app_id is not None else list(self.traffic)
        segment = key.segment_id
        if segment is None:
            return [(self.traffic[app], 1.0) for app in apps]
        tracked = segment not in self.untracked
        return [(self.traffic[app], segment_fraction(self.seed, app, segment) if tracked else 0.0) for app in apps]

    def step(self, now: float) -> int:
        """What is seen of closed buckets changes only with this number."""
        return next((traffic.step(now) for traffic in self.traffic.values()), math.floor(now / 24))


def simulated_key(workspace: Workspace) -> str:
    """The workspace's own key, or the one that the stand-in makes up for it."""
    return workspace.api_key.reveal() if workspace.api_key is not None else f"simulated-{workspace.name}"


def sites_of(workspaces: Sequence[Workspace], options: Options, clock: Clock) -> dict[str, SimulatedWorkspace]:
    """Sites by API key. ValueError where two share a key or an option names nothing that is served."""
    _check_names(workspaces, options)
    sites: dict[str, SimulatedWorkspace] = {}
    for workspace in workspaces:
        site = _site(workspace, options, clock)
        if site.api_key in sites:
            raise ValueError(f"{site.name} and {sites[site.api_key].name} have the same key: give each its own")
        sites[site.api_key] = site
    return sites


def _site(workspace: Workspace, options: Options, clock: Clock) -> SimulatedWorkspace:
    zone = workspace.timezone
    alive = [app for app in workspace.apps if not _named(app, options.dead)]
    return SimulatedWorkspace(
        workspace=workspace,
        api_key=simulated_key(workspace),
        zone=zone if options.day_zone is DayZone.WORKSPACE else UTC_ZONE,
        seed=options.seed,
        denied=workspace.name in options.denied,
        traffic={app.id: Traffic(options.seed, app, zone, options.late, young=options.young) for app in alive},
        segments={segment.id: segment for segment in workspace.segments if not _named(segment, options.dead)},
        untracked=frozenset(segment.id for segment in workspace.segments if _named(segment, options.untracked)),
        pool=QuotaServer(options.pool, clock),
    )


def _named(thing: App | Segment, names: frozenset[str]) -> bool:
    return thing.name in names or thing.id in names


def _check_names(workspaces: Sequence[Workspace], options: Options) -> None:
    apps = {word for workspace in workspaces for app in workspace.apps for word in (app.name, app.id)}
    segments = {word for workspace in workspaces for one in workspace.segments for word in (one.name, one.id)}
    _check("untracked", "segment", options.untracked, segments)
    _check("dead", "app or segment", options.dead, apps | segments)
    _check("denied", "workspace", options.denied, {workspace.name for workspace in workspaces})


def _check(option: str, what: str, asked: Iterable[str], known: set[str]) -> None:
    for name in sorted(asked):
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ValueError(f"{option}: no {what} is called {name!r}; there are: {names}")


class QuotaServer:
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


Parameters = tuple[tuple[str, str], ...]
"""A request's query, sorted by name, without the key."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request to the API. `outcome` is the status, or `reset`, `cut` where none was told whole."""

    workspace: str | None
    path: str
    parameters: Parameters
    outcome: str


class RequestLog:
    """Counts requests to the API (those to the control endpoints are none). Written by the server's thread alone."""

    def __init__(self, clock: Clock, remembered: int = 20_000) -> None:
        self._clock = clock
        self.asked: deque[LoggedRequest] = deque(maxlen=remembered)
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

    def settle(self, asked: LoggedRequest) -> None:
        """Count how a request was answered."""
        self.asked.append(asked)
        self.by_outcome[asked.outcome] += 1
        if asked.workspace is not None:
            self.by_workspace[asked.workspace] += 1
