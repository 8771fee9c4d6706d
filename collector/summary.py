"""What came of a run: counts, failures, and the exit code that schedulers act on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from collector.buckets import format_bucket
from collector.lake.landing import LandingCounts
from collector.lake.recorder import OutcomeCounts
from collector.lake.store import LakeBusy

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from collector.lake.store import LakeError
    from collector.model import Failed


_PRECEDENCE = (1, 5, 143, 130, 4, 3)


def first_exit_code(codes: Collection[int | None]) -> int:
    """Of several exit codes the first that holds, in the order of the contract; 0 where none does."""
    return next((code for code in _PRECEDENCE if code in codes), 0)


@dataclass(frozen=True, slots=True)
class WorkspaceSummary:
    """One workspace's part of a run. `planned` counts windows.

    `problem`: what about the lake ended it early. `bug`: an error of the program that did.
    """

    name: str
    planned: int = 0
    counts: OutcomeCounts = field(default_factory=OutcomeCounts)
    problem: LakeError | None = None
    bug: Exception | None = None

    def exit_code(self, interrupted: int | None = None) -> int:
        """The exit code of this workspace's part. `interrupted`: the run's, where a signal ended it."""
        if self.bug is not None:
            return 1
        if self.problem is not None and not isinstance(self.problem, LakeBusy):
            return 5
        if interrupted is not None and self.counts.skipped:
            return interrupted
        if self.problem is not None:
            return 4
        return 3 if self.counts.failed or self.counts.skipped else 0

    @property
    def bug_text(self) -> str:
        """The bug without its own text, which only the log has, redacted, with the traceback."""
        return f"bug: {type(self.bug).__name__}; the log has the traceback"


@dataclass(frozen=True, slots=True)
class Summary:
    """All of a run. `interrupted`: 130 or 143 where a signal ended it."""

    run_id: str
    as_of: datetime
    duration_seconds: float
    workspaces: tuple[WorkspaceSummary, ...]
    interrupted: int | None = None

    @property
    def exit_code(self) -> int:
        """The first that holds of 1, 5, 130/143, 4, 3, 0."""
        return first_exit_code({*(workspace.exit_code() for workspace in self.workspaces), self.interrupted})

    @property
    def windows_ok(self) -> int:
        """Windows that were answered."""
        return sum(workspace.counts.ok for workspace in self.workspaces)

    @property
    def windows_failed(self) -> int:
        """Windows that were sent and not answered."""
        return sum(workspace.counts.failed for workspace in self.workspaces)

    @property
    def windows_skipped(self) -> int:
        """Windows that were planned and not sent."""
        return sum(workspace.counts.skipped for workspace in self.workspaces)

    @property
    def attempts(self) -> int:
        """HTTP requests that were made."""
        return sum(workspace.counts.attempts for workspace in self.workspaces)

    @property
    def landed(self) -> LandingCounts:
        """Rows and files, over all workspaces."""
        return sum((workspace.counts.landed for workspace in self.workspaces), LandingCounts())

    @property
    def failures(self) -> list[Failed]:
        """The windows that failed."""
        return [failure for workspace in self.workspaces for failure in workspace.counts.failures]

    def as_json(self) -> dict[str, Any]:
        """What `run --json` prints."""
        landed = self.landed
        bugs = [_bug(workspace) for workspace in self.workspaces if workspace.bug is not None]
        return {
            "run_id": self.run_id,
            "as_of": self.as_of.isoformat().replace("+00:00", "Z"),
            "exit_code": self.exit_code,
            "requests": self.windows_ok + self.windows_failed,
            "attempts": self.attempts,
            "windows_ok": self.windows_ok,
            "windows_failed": self.windows_failed,
            "windows_skipped": self.windows_skipped,
            "rows_added": landed.rows_added,
            "rows_restated": landed.rows_restated,
            "rows_unchanged": landed.rows_unchanged,
            "files_written": landed.files_written,
            "duration_seconds": round(self.duration_seconds, 3),
            "failures": [*bugs, *(_failure(failure) for failure in self.failures)],
        }


def _failure(failure: Failed) -> dict[str, Any]:
    series, span = failure.window.series, failure.window.span
    return {
        "workspace": series.workspace,
        "metric": series.key.metric,
        "app": series.app,
        "segment": series.segment,
        "event": series.key.event,
        "unit": series.unit.value,
        "first": format_bucket(series.unit, span.first),
        "last": format_bucket(series.unit, span.stop - 1),
        "error": failure.error,
        "http_status": failure.http_status,
    }


def _bug(workspace: WorkspaceSummary) -> dict[str, Any]:
    """A failure of no window."""
    names = ("metric", "app", "segment", "event", "unit", "first", "last", "http_status")
    return {"workspace": workspace.name, **dict.fromkeys(names), "error": workspace.bug_text}
