"""Report of a plan: how many requests, why, what share of the quota, and about how long.

In: the planned windows of each workspace. Out: a table, or the object of `plan --json`. Nothing is planned here.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from collector.buckets import format_bucket
from collector.metrics import METRICS, QUOTAS, SHARED
from collector.model import Reason, Span, Unit
from collector.plan import allowance, estimated_seconds
from collector.show.text import TextOutput, count, duration

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from collector.config.settings import Workspace
    from collector.metrics import QuotaGroup
    from collector.model import Window

REASONS = (Reason.NEW, Reason.GAP, Reason.LOOKBACK, Reason.FORCED)
"""In the order of the table's columns."""


@dataclass(frozen=True, slots=True)
class QuotaPlan:
    """What counts against one quota. `share`: of an hour. `allowance`: requests in an hour, without the reserve."""

    name: str
    requests: int
    share: float
    allowance: int

    @property
    def hours(self) -> int:
        """Hourly quotas that the requests need, rounded up."""
        return math.ceil(self.requests / self.allowance)


@dataclass(frozen=True, slots=True)
class WorkspacePlan:
    """One workspace's plan.

    `by_reason`: windows for each of REASONS. `rows`: buckets in the windows, so the most rows that can come.
    `quotas`: what of the requests counts against each quota.
    `nightly_requests`: what a night costs once nothing is missing.
    """

    name: str
    by_reason: tuple[int, ...]
    rows: int
    quotas: tuple[QuotaPlan, ...]
    estimated_seconds: float
    nightly_requests: int

    @property
    def requests(self) -> int:
        """Windows: each is one request, not counting retries."""
        return sum(self.by_reason)

    @property
    def quota_share(self) -> float:
        """The share of the quota of which most is needed."""
        return max(quota.share for quota in self.quotas)


@dataclass(frozen=True, slots=True)
class PlanReport:
    """The plan of all workspaces. `spans`: for each planned unit, from the oldest bucket to the newest."""

    workspaces: tuple[WorkspacePlan, ...]
    spans: tuple[tuple[Unit, Span], ...] = ()

    @property
    def requests(self) -> int:
        """Requests of all workspaces."""
        return sum(workspace.requests for workspace in self.workspaces)

    @property
    def nightly_requests(self) -> int:
        """What a night of all workspaces costs once nothing is missing."""
        return sum(workspace.nightly_requests for workspace in self.workspaces)

    @property
    def rows(self) -> int:
        """Rows of all workspaces, at most."""
        return sum(workspace.rows for workspace in self.workspaces)

    @property
    def estimated_seconds(self) -> float:
        """Seconds of the longest workspace: all run at the same time."""
        return max((workspace.estimated_seconds for workspace in self.workspaces), default=0.0)

    @property
    def by_reason(self) -> dict[Reason, int]:
        """Windows of each reason, 0 included."""
        counts = [workspace.by_reason for workspace in self.workspaces]
        return {reason: sum(row[position] for row in counts) for position, reason in enumerate(REASONS)}

    def as_json(self) -> dict[str, Any]:
        """The object of `plan --json`."""
        return {
            "requests": self.requests,
            "rows": self.rows,
            "estimated_seconds": self.estimated_seconds,
            "by_reason": {reason.value: windows for reason, windows in self.by_reason.items()},
            "nightly_requests": self.nightly_requests,
            "workspaces": [
                {
                    "name": workspace.name,
                    "requests": workspace.requests,
                    "estimated_seconds": workspace.estimated_seconds,
                    "nightly_requests": workspace.nightly_requests,
                    "quotas": [
                        {"name": quota.name, "requests": quota.requests, "share": quota.share}
                        for quota in workspace.quotas
                    ],
                }
                for workspace in self.workspaces
            ],
        }


def plan_report(plans: Sequence[tuple[Workspace, Collection[Window], int]]) -> PlanReport:
    """The report of the workspaces' plans: for each, its windows, and the requests of a night with nothing missing."""
    spans: dict[Unit, Span] = {}
    for _, windows, _ in plans:
        for window in windows:
            span = spans.get(window.series.unit, window.span)
            spans[window.series.unit] = Span(min(span.first, window.span.first), max(span.stop, window.span.stop))
    return PlanReport(
        tuple(_workspace_plan(*each) for each in plans),
        tuple((unit, spans[unit]) for unit in Unit if unit in spans),
    )


def print_plan(plan: PlanReport, out: TextIO) -> None:
    """Write the plan as a table, and what to do next."""
    output = TextOutput(out)
    if not plan.requests:
        output.line("nothing to do: the lake is complete, and the lookback was refreshed recently")
        return
    head = ["workspace", *(reason.value for reason in REASONS), "requests", "rows", "of quota", "time"]
    total = _total(plan) if len(plan.workspaces) > 1 else None
    output.table(head, [_row(workspace) for workspace in plan.workspaces], total)
    output.line()
    for unit, span in plan.spans:
        output.line(f"{unit}s from {format_bucket(unit, span.first)} to {format_bucket(unit, span.stop - 1)}")
    for workspace in plan.workspaces:
        for quota in workspace.quotas:
            if quota.hours > 1:
                output.line(_quota_warning(workspace.name, quota), "yellow")
    output.line(f"a night with nothing missing costs {count(plan.nightly_requests, 'request')}")
    output.line("`collector run` sends these requests, newest first; none has been sent yet")


def _workspace_plan(workspace: Workspace, windows: Collection[Window], nightly: int) -> WorkspacePlan:
    reasons = Counter(window.reason for window in windows)
    by_quota = Counter(METRICS[window.series.key.metric].quota.name for window in windows)
    wanted = {METRICS[choice.name].quota.name for choice in workspace.metrics}
    groups = [quota for quota in QUOTAS if quota.name in wanted or by_quota[quota.name]]
    return WorkspacePlan(
        workspace.name,
        tuple(reasons[reason] for reason in REASONS),
        sum(len(window.span) for window in windows),
        tuple(_quota_plan(workspace, quota, by_quota[quota.name]) for quota in groups),
        max(estimated_seconds(workspace, by_quota[quota.name], quota) for quota in groups),
        nightly,
    )


def _quota_plan(workspace: Workspace, quota: QuotaGroup, requests: int) -> QuotaPlan:
    per_hour = quota.per_hour or workspace.rate_limit.per_hour
    return QuotaPlan(quota.name, requests, requests / per_hour, allowance(workspace, quota))


def _row(workspace: WorkspacePlan) -> list[str]:
    figures = (*workspace.by_reason, workspace.requests, workspace.rows)
    share, time = _share(workspace.quota_share), duration(workspace.estimated_seconds)
    return [
        workspace.name,
        *(f"{figure:,}" for figure in figures),
        *((share, time) if workspace.requests else ("-", "-")),
    ]


def _total(plan: PlanReport) -> list[str]:
    figures = (*plan.by_reason.values(), plan.requests, plan.rows)
    return ["all", *(f"{figure:,}" for figure in figures), "", duration(plan.estimated_seconds)]


def _share(share: float) -> str:
    return "under 0.1%" if share < 0.001 else f"{share:,.1%}"


def _quota_warning(workspace: str, quota: QuotaPlan) -> str:
    named = "the quota" if quota.name == SHARED.name else f"the quota {quota.name}"
    return (
        f"{workspace}: {count(quota.requests, 'request')} are more than {named} allows in an hour "
        f"({quota.allowance:,}, without the reserve) and take {quota.hours:,} hours; --deadline and "
        "--max-requests end a run earlier, and the next run continues"
    )
