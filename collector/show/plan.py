"""The plan as people and programs read it: how many requests, why, what share of the pool, and about how long.

In: windows by workspace. Out: a report, as a table or as the object of `plan --json`. It plans nothing itself.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from collector.buckets import format_bucket
from collector.model import Reason, Span, Unit
from collector.plan import estimated_seconds
from collector.show.text import TextOutput, count, duration

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from collector.config.settings import Workspace
    from collector.model import Window

REASONS = (Reason.NEW, Reason.GAP, Reason.LOOKBACK, Reason.FORCED)
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class WorkspacePlan:
    """One workspace's part. `rows`: buckets asked for; `allowance`: requests that its pool leaves it in an hour."""

    name: str
    by_reason: tuple[int, ...]
    rows: int
    pool_share: float
    allowance: int
    estimated_seconds: float

    @property
    def requests(self) -> int:
        """Windows, each of them one request where nothing is retried."""
        return sum(self.by_reason)

    @property
    def hours(self) -> int:
        """Hours of its pool that the requests take, begun ones included."""
        return math.ceil(self.requests / self.allowance)


@dataclass(frozen=True, slots=True)
class PlanReport:
    """All of a plan. `spans`: for each unit asked for, from the oldest bucket to the newest."""

    workspaces: tuple[WorkspacePlan, ...]
    spans: tuple[tuple[Unit, Span], ...] = ()

    @property
    def requests(self) -> int:
        """Windows of all workspaces."""
        return sum(workspace.requests for workspace in self.workspaces)

    @property
    def rows(self) -> int:
        """Buckets asked for: the rows that the answers hold at most."""
        return sum(workspace.rows for workspace in self.workspaces)

    @property
    def estimated_seconds(self) -> float:
        """The longest workspace's: they run at the same time."""
        return max((workspace.estimated_seconds for workspace in self.workspaces), default=0.0)

    @property
    def by_reason(self) -> dict[Reason, int]:
        """Windows of each reason, also where there is none."""
        columns = [workspace.by_reason for workspace in self.workspaces]
        return {reason: sum(column[place] for column in columns) for place, reason in enumerate(REASONS)}

    def as_json(self) -> dict[str, Any]:
        """What `plan --json` prints."""
        return {
            "requests": self.requests,
            "rows": self.rows,
            "estimated_seconds": self.estimated_seconds,
            "by_reason": {reason.value: windows for reason, windows in self.by_reason.items()},
            "workspaces": [
                {
                    "name": workspace.name,
                    "requests": workspace.requests,
                    "pool_share": workspace.pool_share,
                    "estimated_seconds": workspace.estimated_seconds,
                }
                for workspace in self.workspaces
            ],
        }


def plan_report(plans: Sequence[tuple[Workspace, Collection[Window]]]) -> PlanReport:
    """Sum up plans."""
    spans: dict[Unit, Span] = {}
    for _, windows in plans:
        for window in windows:
            known = spans.get(window.series.unit, window.span)
            hull = Span(min(known.first, window.span.first), max(known.stop, window.span.stop))
            spans[window.series.unit] = hull
    return PlanReport(
        tuple(_workspace_plan(workspace, windows) for workspace, windows in plans),
        tuple((unit, spans[unit]) for unit in Unit if unit in spans),
    )


def print_plan(plan: PlanReport, out: TextIO) -> None:
    """Write the plan as a table, with what to do next."""
    page = TextOutput(out)
    if not plan.requests:
        page.line("nothing to do: the lake holds all that is wanted, and the lookback was read lately")
        return
    head = ["workspace", *(reason.value for reason in REASONS), "requests", "rows", "of the hour's pool", "about"]
    total = _total(plan) if len(plan.workspaces) > 1 else None
    page.table(head, [_row(workspace) for workspace in plan.workspaces], total)
    page.line()
    for unit, span in plan.spans:
        page.line(f"{unit}s from {format_bucket(unit, span.first)} to {format_bucket(unit, span.stop - 1)}")
    for workspace in plan.workspaces:
        if workspace.hours > 1:
            page.line(_beyond_an_hour(workspace), "yellow")
    page.line("`collector run` asks for all of it, newest first; no request has been made")


def _workspace_plan(workspace: Workspace, windows: Collection[Window]) -> WorkspacePlan:
    reasons = Counter(window.reason for window in windows)
    limit = workspace.rate_limit
    return WorkspacePlan(
        workspace.name,
        tuple(reasons[reason] for reason in REASONS),
        sum(len(window.span) for window in windows),
        len(windows) / limit.per_hour,
        max(1, int(limit.per_hour * (1 - limit.reserve))),
        estimated_seconds(workspace, len(windows)),
    )


def _row(workspace: WorkspacePlan) -> list[str]:
    figures = (*workspace.by_reason, workspace.requests, workspace.rows)
    share, about = _share(workspace.pool_share), duration(workspace.estimated_seconds)
    return [
        workspace.name,
        *(f"{figure:,}" for figure in figures),
        *((share, about) if workspace.requests else ("-", "-")),
    ]


def _total(plan: PlanReport) -> list[str]:
    figures = (*plan.by_reason.values(), plan.requests, plan.rows)
    return ["all", *(f"{figure:,}" for figure in figures), "", duration(plan.estimated_seconds)]


def _share(share: float) -> str:
    return "under 0.1%" if share < 0.001 else f"{share:,.1%}"


def _beyond_an_hour(workspace: WorkspacePlan) -> str:
    requests = count(workspace.requests, "request")
    return (
        f"{workspace.name}: {requests} are more than the {workspace.allowance:,} that its pool allows in an hour: they "
        f"take {workspace.hours:,} hours; --deadline or --max-requests ends a run earlier, and the next one goes on"
    )
