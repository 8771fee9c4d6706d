"""One workspace as the API serves it: its ids and traffic, its request quota, and the log of all requests.

In: the config's workspaces and the options. Out: a `SimulatedWorkspace` for each API key. Keys are never logged.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from collector.metrics import METRICS, QUOTAS, SHARED
from collector.simulator.options import DayZone, Options
from collector.simulator.traffic import MEASURES, Traffic, event_fraction, segment_fraction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.clock import Clock
    from collector.config.settings import App, Segment, Workspace
    from collector.model import SeriesKey
    from collector.simulator.options import PoolOptions


UTC_ZONE: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class SimulatedWorkspace:
    """One workspace. `zone` is where its days begin; `traffic` has one entry for each app the API knows, by app id.

    `denied`: the metrics for which the key has no permission. `quotas`: by name.
    """

    config: Workspace
    api_key: str
    zone: ZoneInfo
    seed: int
    denied: frozenset[str]
    traffic: Mapping[str, Traffic]
    segments: Mapping[str, Segment]
    untracked: frozenset[str]
    quotas: Mapping[str, QuotaServer]

    @property
    def quota(self) -> QuotaServer:
        """The quota of most paths."""
        return self.quotas[SHARED.name]

    @property
    def name(self) -> str:
        """The workspace's name in the config."""
        return self.config.name

    def traffic_of(self, key: SeriesKey) -> list[tuple[Traffic, float]]:
        """The apps that make up a series, each with the fraction of its sessions that counts."""
        apps = [key.app_id] if key.app_id is not None else list(self.traffic)
        segment = key.segment_id
        share = MEASURES[key.metric].share * event_fraction(self.seed, key.event)
        if segment is None:
            return [(self.traffic[app], share) for app in apps]
        share = 0.0 if segment in self.untracked else share
        return [(self.traffic[app], share * segment_fraction(self.seed, app, segment)) for app in apps]

    def reporting_day(self, now: float) -> int:
        """A number that changes when late sessions arrive. Counts of closed buckets change only with it."""
        return next((traffic.reporting_day(now) for traffic in self.traffic.values()), math.floor(now / 24))


def simulated_key(workspace: Workspace) -> str:
    """The workspace's own API key, or a made-up one where the config has none."""
    return workspace.api_key.reveal() if workspace.api_key is not None else f"simulated-{workspace.name}"


def workspaces_by_key(workspaces: Sequence[Workspace], options: Options, clock: Clock) -> dict[str, SimulatedWorkspace]:
    """Simulated workspaces by API key. ValueError if two share a key, or if an option names an unknown id."""
    _check_names(workspaces, options)
    by_key: dict[str, SimulatedWorkspace] = {}
    for config in workspaces:
        workspace = _simulated(config, options, clock)
        other = by_key.setdefault(workspace.api_key, workspace)
        if other is not workspace:
            raise ValueError(f"{workspace.name} and {other.name} have the same key: give each workspace its own key")
    return by_key


def _simulated(config: Workspace, options: Options, clock: Clock) -> SimulatedWorkspace:
    zone = config.timezone
    apps = [app for app in config.apps if not _is_listed(app, options.dead)]
    return SimulatedWorkspace(
        config=config,
        api_key=simulated_key(config),
        zone=zone if options.day_zone is DayZone.WORKSPACE else UTC_ZONE,
        seed=options.seed,
        denied=frozenset(METRICS if config.name in options.denied else _denied_metrics(config.name, options)),
        traffic={app.id: Traffic(options.seed, app, zone, options.late, young=options.young) for app in apps},
        segments={segment.id: segment for segment in config.segments if not _is_listed(segment, options.dead)},
        untracked=frozenset(segment.id for segment in config.segments if _is_listed(segment, options.untracked)),
        quotas={quota.name: QuotaServer(options.pool_of(quota), clock) for quota in QUOTAS},
    )


def _denied_metrics(workspace: str, options: Options) -> set[str]:
    """Those that are denied one by one, as `acme/dau`."""
    return {metric for metric in METRICS if f"{workspace}/{metric}" in options.denied}


def _is_listed(item: App | Segment, names: frozenset[str]) -> bool:
    return item.name in names or item.id in names


def _check_names(workspaces: Sequence[Workspace], options: Options) -> None:
    apps = {word for workspace in workspaces for app in workspace.apps for word in (app.name, app.id)}
    segments = {
        word for workspace in workspaces for segment in workspace.segments for word in (segment.name, segment.id)
    }
    _check("untracked", "segment", options.untracked, segments)
    _check("dead", "app or segment", options.dead, apps | segments)
    names = [workspace.name for workspace in workspaces]
    _check(
        "denied", "workspace", options.denied, {*names, *(f"{name}/{metric}" for name in names for metric in METRICS)}
    )


def _check(option: str, kind: str, names: Iterable[str], known: set[str]) -> None:
    for name in sorted(names):
        if name not in known:
            choices = ", ".join(sorted(each for each in known if "/" not in each)) or "none"
            raise ValueError(f"{option}: unknown {kind} {name!r}; the config has: {choices}")


class QuotaServer:
    """The hourly request quota of one workspace. All clients that use the workspace's key share it.

    Braze resets the quota at the start of each clock hour; there is no rolling window. Periods are therefore counted
    from the epoch: a period of 3600 seconds gives clock hours.
    """

    def __init__(self, options: PoolOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._period = -1
        self._spent = 0

    @property
    def remaining(self) -> int:
        """Requests left until the reset."""
        self._enter_period()
        return max(0, self._options.limit - self._spent)

    def take(self) -> bool:
        """Spend one request. False if none is left."""
        self._enter_period()
        if self._spent >= self._options.limit:
            return False
        self._spent += 1
        return True

    def spend(self, requests: int) -> None:
        """Spend requests of other clients, such as production sends. At most what is left is spent."""
        self._enter_period()
        self._spent = min(self._options.limit, self._spent + requests)

    def refill(self) -> None:
        """Restore the full quota before the reset."""
        self._spent = 0

    def headers(self) -> dict[str, str]:
        """The three documented headers, in lower case as Braze sends them; the reset is in UTC epoch seconds."""
        period = self._enter_period()
        return {
            "x-ratelimit-limit": str(self._options.limit),
            "x-ratelimit-remaining": str(max(0, self._options.limit - self._spent)),
            "x-ratelimit-reset": str((period + 1) * self._options.period_seconds),
        }

    def _enter_period(self) -> int:
        """The number of the current period. Entering a new one restores the full quota."""
        period = int(self._clock.now().timestamp()) // self._options.period_seconds
        if period != self._period:
            self._period, self._spent = period, 0
        return period


Parameters = tuple[tuple[str, str], ...]
"""A request's query parameters, sorted by name, without the key."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request to the API. `outcome` is the status; or `reset` or `cut`, if no complete reply was sent."""

    workspace: str | None
    path: str
    parameters: Parameters
    outcome: str


class RequestLog:
    """Counts requests to the API and keeps the newest ones. Control requests are not counted.

    Only the server's thread writes to it.
    """

    def __init__(self, clock: Clock, capacity: int = 20_000) -> None:
        self._clock = clock
        self.entries: deque[LoggedRequest] = deque(maxlen=capacity)
        self.clear()

    def clear(self) -> None:
        """Forget all requests and set all counts to zero."""
        self.requests = 0
        self.by_outcome: Counter[str] = Counter()
        self.by_workspace: Counter[str] = Counter()
        self.busiest_second = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self._last_second: deque[float] = deque()
        self.entries.clear()

    def start(self) -> None:
        """Count a request that has arrived."""
        now = self._clock.monotonic()
        self.requests += 1
        arrivals = self._last_second
        # A sliding window: the arrivals of the last second. Its largest size is the most that any second had.
        arrivals.append(now)
        while arrivals[0] <= now - 1.0:
            arrivals.popleft()
        self.busiest_second = max(self.busiest_second, len(arrivals))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def finish(self) -> None:
        """Count a request as no longer in flight. `clear` may have been called since it arrived."""
        self.in_flight = max(0, self.in_flight - 1)

    def record(self, request: LoggedRequest) -> None:
        """Keep a request with its outcome."""
        self.entries.append(request)
        self.by_outcome[request.outcome] += 1
        if request.workspace is not None:
            self.by_workspace[request.workspace] += 1
