"""The stand-in's state and its truth: what the API would tell of any bucket at any instant.

In: workspaces, options. Out: rows of (bucket, sessions). HTTP is elsewhere: `server.py` asks here and adds nothing.
Two clocks: the data clock (`now`: what has happened, what is late) may be pinned and moved; the pool's is real time.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from collector.clock import Clock, SystemClock
from collector.model import SeriesKey, Span, Unit
from collector.simulator.options import NO_FAULTS, FaultDraw, Faults, Options, hash_unit
from collector.simulator.sites import RequestLog, SimulatedWorkspace, sites_of
from collector.simulator.traffic import day_edges, hours_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.config.settings import Workspace

DEFAULT_OPTIONS = Options()


class Simulation:
    """A served world. Changing it while it is served is safe from any thread; each change is seen by the next request.

    `now`: the data clock, aware; setting it pins it, setting None lets it follow the clock again.
    `version` grows with every change that could alter an answer.
    """

    def __init__(
        self,
        workspaces: Sequence[Workspace],
        options: Options = DEFAULT_OPTIONS,
        *,
        faults: Faults = NO_FAULTS,
        now: datetime | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.options = options
        self.clock: Clock = clock or SystemClock()
        self.sites = sites_of(workspaces, options, self.clock)
        self.tally = RequestLog(self.clock)
        self.version = 0
        self._draw = FaultDraw(faults, options.seed)
        self._now = _aware(now)
        self._restated: dict[tuple[str, SeriesKey], dict[int, int]] = {}
        self._withheld: dict[tuple[str, SeriesKey], set[int]] = {}

    @property
    def now(self) -> datetime:
        """The instant of the data clock, in UTC."""
        return self._now or self.clock.now()

    @now.setter
    def now(self, instant: datetime | None) -> None:
        self._now = _aware(instant)

    @property
    def pinned(self) -> bool:
        """Whether the data clock stands still."""
        return self._now is not None

    @property
    def draw(self) -> FaultDraw:
        """Deals out the faults in force."""
        return self._draw

    @property
    def faults(self) -> Faults:
        """The faults in force; setting them starts the count of attempts anew."""
        return self._draw.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._draw = FaultDraw(faults, self.options.seed)

    def site(self, workspace: str) -> SimulatedWorkspace:
        """The site of a workspace, by its name. KeyError where there is none."""
        for site in self.sites.values():
            if site.name == workspace:
                return site
        raise KeyError(workspace)

    def spend(self, workspace: str, requests: int) -> None:
        """Let others draw that many requests from the workspace's pool."""
        self.site(workspace).pool.spend(requests)

    def restate(self, workspace: str, key: SeriesKey, counts: dict[int, int]) -> None:
        """From now on these buckets of this one series have these counts. Other series keep theirs."""
        self._restated.setdefault((workspace, key), {}).update(counts)
        self.version += 1

    def withhold(self, workspace: str, key: SeriesKey, buckets: Iterable[int]) -> None:
        """From now on these buckets of this one series are not reported: absent, not zero."""
        self._withheld.setdefault((workspace, key), set()).update(buckets)
        self.version += 1

    def truth(self, workspace: str, key: SeriesKey, bucket: int, at: datetime | None = None) -> int | None:
        """What the API tells of one bucket at an instant (default: `now`); None: it leaves the bucket out."""
        rows = self.rows(workspace, key, Span(bucket, bucket + 1), at)
        return rows[0][1] if rows else None

    def rows(self, workspace: str, key: SeriesKey, span: Span, at: datetime | None = None) -> list[tuple[int, int]]:
        """What the API tells of a span at an instant (default: `now`): (bucket, sessions) in order of the buckets.

        Left out are buckets that have not begun, that ended before the app began, or that are withheld.
        """
        return self.site_rows(self.site(workspace), key, span, at or self.now)

    def site_rows(self, site: SimulatedWorkspace, key: SeriesKey, span: Span, at: datetime) -> list[tuple[int, int]]:
        """As `rows`, for those who hold the site."""
        now = hours_of(at)
        edges = edges_of(key.unit, span, site)
        flows = site.flows(key)
        begun = min((traffic.start for traffic, _ in flows), default=math.inf)
        counts = [0] * len(span)
        for traffic, fraction in flows:
            totals = traffic.seen(edges, now, fraction)
            counts = [count + after - before for count, before, after in zip(counts, totals, totals[1:], strict=False)]
        restated = self._restated.get((site.name, key), {})
        hidden = self._hidden(site, key, span)
        return [
            (bucket, restated.get(bucket, count))
            for bucket, count, (start, end) in zip(range(span.first, span.stop), counts, pairwise(edges), strict=True)
            if start < now and end > begun and bucket not in hidden
        ]

    def _hidden(self, site: SimulatedWorkspace, key: SeriesKey, span: Span) -> set[int]:
        withheld = self._withheld.get((site.name, key), set())
        share = self.options.absent_share
        if not share:
            return withheld
        root = (self.options.seed, "absent", site.name, key.unit, key.app_id, key.segment_id)
        return withheld | {bucket for bucket in range(span.first, span.stop) if hash_unit(*root, bucket) < share}


def edges_of(unit: Unit, span: Span, site: SimulatedWorkspace) -> list[float]:
    """The starts of the span's buckets and the end of its last, in hours since 1970-01-01T00:00Z."""
    edge = float if unit is Unit.HOUR else day_edges(site.zone)
    return [edge(bucket) for bucket in range(span.first, span.stop + 1)]


def truth_rows(
    simulation: Simulation, workspace: str, key: SeriesKey, span: Span, at: datetime
) -> list[tuple[int, int]]:
    """What a complete collection of the span, made at the instant, must hold: (bucket, sessions)."""
    return simulation.rows(workspace, key, span, at)


def _aware(instant: datetime | None) -> datetime | None:
    if instant is not None and instant.tzinfo is None:
        raise ValueError("the data clock takes an aware instant: give it an offset or a zone")
    return instant.astimezone(UTC) if instant else None
