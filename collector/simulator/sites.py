"""What one workspace looks like from the API's side: its key, its zone, what is known, untracked or dead in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from collector.simulator.options import DayZone, Options
from collector.simulator.pool import Pool
from collector.simulator.traffic import Traffic, segment_fraction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.clock import Clock
    from collector.config.settings import App, Segment, Workspace
    from collector.model import SeriesKey

UTC_ZONE: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Site:
    """One workspace as served. `zone`: where its days are cut; `traffic`: one entry for each live app, by its id."""

    workspace: Workspace
    api_key: str
    zone: ZoneInfo
    seed: int
    denied: bool
    traffic: Mapping[str, Traffic]
    segments: Mapping[str, Segment]
    untracked: frozenset[str]
    pool: Pool

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


def sites_of(workspaces: Sequence[Workspace], options: Options, clock: Clock) -> dict[str, Site]:
    """Sites by API key. ValueError where two share a key or an option names nothing that is served."""
    _check_names(workspaces, options)
    sites: dict[str, Site] = {}
    for workspace in workspaces:
        site = _site(workspace, options, clock)
        if site.api_key in sites:
            raise ValueError(f"{site.name} and {sites[site.api_key].name} have the same key: give each its own")
        sites[site.api_key] = site
    return sites


def _site(workspace: Workspace, options: Options, clock: Clock) -> Site:
    zone = workspace.timezone
    alive = [app for app in workspace.apps if not _named(app, options.dead)]
    return Site(
        workspace=workspace,
        api_key=simulated_key(workspace),
        zone=zone if options.day_zone is DayZone.WORKSPACE else UTC_ZONE,
        seed=options.seed,
        denied=workspace.name in options.denied,
        traffic={app.id: Traffic(options.seed, app, zone, options.late, young=options.young) for app in alive},
        segments={segment.id: segment for segment in workspace.segments if not _named(segment, options.dead)},
        untracked=frozenset(segment.id for segment in workspace.segments if _named(segment, options.untracked)),
        pool=Pool(options.pool, clock),
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
