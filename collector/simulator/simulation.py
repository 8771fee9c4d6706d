"""The state of the stand-in and its ground truth: what the API reports for any bucket at any instant.

In: workspaces and options. Out: rows of (bucket, value). It knows no HTTP: `endpoint.py` turns rows into replies.
There are two clocks. The data clock (`now`) decides what has happened and what is late; it can be pinned and moved.
The quota follows the real clock.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from collector.clock import Clock, SystemClock
from collector.metrics import DEFAULT_METRICS
from collector.model import SeriesKey, Span, Unit
from collector.simulator.options import NO_FAULTS, FaultDraw, Faults, Options, hash_unit
from collector.simulator.sites import RequestLog, SimulatedWorkspace, workspaces_by_key
from collector.simulator.traffic import MEASURES, day_edges, hours_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.config.settings import Workspace

DEFAULT_OPTIONS = Options()


class Simulation:
    """All that the stand-in serves. Any thread may change it while it is served; the next request sees the change.

    `now` is the data clock, time-zone aware. Setting it pins it; setting None makes it follow the real clock again.
    `version` increases with each change that can alter an answer.
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
        self.workspaces = workspaces_by_key(workspaces, options, self.clock)
        self.request_log = RequestLog(self.clock)
        self.version = 0
        self._fault_draw = FaultDraw(faults, options.seed)
        self._now = _aware(now)
        self._restated: dict[tuple[str, SeriesKey], dict[int, float]] = {}
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
        """Whether the data clock is pinned."""
        return self._now is not None

    @property
    def fault_draw(self) -> FaultDraw:
        """Chooses the fault of each attempt."""
        return self._fault_draw

    @property
    def faults(self) -> Faults:
        """The current fault rates. Setting them restarts the count of attempts."""
        return self._fault_draw.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._fault_draw = FaultDraw(faults, self.options.seed)

    def workspace(self, name: str) -> SimulatedWorkspace:
        """The workspace of that name. KeyError if there is none."""
        for workspace in self.workspaces.values():
            if workspace.name == name:
                return workspace
        raise KeyError(name)

    def spend(self, workspace: str, requests: int) -> None:
        """Spend requests of the workspace's quota, as other clients do."""
        self.workspace(workspace).quota.spend(requests)

    def restate(self, workspace: str, key: SeriesKey, counts: Mapping[int, float]) -> None:
        """Set the values of these buckets in one series. Other series keep theirs."""
        self._restated.setdefault((workspace, key), {}).update(counts)
        self.version += 1

    def withhold(self, workspace: str, key: SeriesKey, buckets: Iterable[int]) -> None:
        """Leave these buckets of one series out of all answers: absent, not zero."""
        self._withheld.setdefault((workspace, key), set()).update(buckets)
        self.version += 1

    def truth(self, workspace: str, key: SeriesKey, bucket: int, at: datetime | None = None) -> float | None:
        """The count that the API reports for one bucket at an instant (default: `now`). None: it is left out."""
        rows = self.rows(workspace, key, Span(bucket, bucket + 1), at)
        return rows[0][1] if rows else None

    def rows(self, workspace: str, key: SeriesKey, span: Span, at: datetime | None = None) -> list[tuple[int, float]]:
        """What the API reports for a span at an instant (default: `now`): (bucket, value), in order of the buckets.

        Buckets that have not started, that ended before the app's own start, or that are withheld are left out.
        """
        return self.workspace_rows(self.workspace(workspace), key, span, at or self.now)

    def workspace_rows(
        self, workspace: SimulatedWorkspace, key: SeriesKey, span: Span, at: datetime
    ) -> list[tuple[int, float]]:
        """The rows of `rows`, for a workspace that has been looked up already."""
        now = hours_of(at)
        edges = edges_of(key.unit, span, workspace)
        apps = workspace.traffic_of(key)
        first_start = min((traffic.start for traffic, _ in apps), default=math.inf)
        measure, counts = MEASURES[key.metric], [0] * len(span)
        # A bucket's count is the difference of two cumulative totals, so hours, days and apps always add up. The counts
        # of several days up to a bucket's end are a difference, too.
        earlier = measure.days - 1
        wide = edges_of(key.unit, Span(span.first - earlier, span.stop), workspace) if earlier else edges
        for traffic, fraction in apps:
            totals = traffic.known_sessions(wide, now, fraction)
            ends = totals[earlier + 1 :]
            counts = [count + after - before for count, before, after in zip(counts, totals, ends, strict=False)]
        values = [measure.value(count, len(apps)) for count in counts]
        restated = self._restated.get((workspace.name, key), {})
        absent = self._absent(workspace, key, span)
        return [
            (bucket, restated.get(bucket, value))
            for bucket, value, (start, end) in zip(range(span.first, span.stop), values, pairwise(edges), strict=True)
            if start < now and end > first_start and bucket not in absent
        ]

    def _absent(self, workspace: SimulatedWorkspace, key: SeriesKey, span: Span) -> set[int]:
        withheld = self._withheld.get((workspace.name, key), set())
        share = self.options.absent_share
        if not share:
            return withheld
        root = (self.options.seed, "absent", workspace.name, key.unit, key.app_id, key.segment_id, *_more_than_ids(key))
        return withheld | {bucket for bucket in range(span.first, span.stop) if hash_unit(*root, bucket) < share}


def _more_than_ids(key: SeriesKey) -> tuple[object, ...]:
    """What else tells series apart. Nothing where sessions are counted, so that their hashes stay as they were."""
    return () if key.metric in DEFAULT_METRICS else (key.metric, key.event)


def edges_of(unit: Unit, span: Span, workspace: SimulatedWorkspace) -> list[float]:
    """The starts of the span's buckets and the end of its last, in hours since 1970-01-01T00:00Z."""
    edge = float if unit is Unit.HOUR else day_edges(workspace.zone)
    return [edge(bucket) for bucket in range(span.first, span.stop + 1)]


def _aware(instant: datetime | None) -> datetime | None:
    if instant is not None and instant.tzinfo is None:
        raise ValueError("the data clock needs a time-zone aware instant: give it an offset or a zone")
    return instant.astimezone(UTC) if instant else None
