"""Report of `status`: a line a workspace, what to do, and the object of `status --json`. Nothing is measured here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from collector.buckets import format_bucket
from collector.show.text import TextOutput, count, duration, instant
from collector.summary import first_exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from collector.status import LastRun, SeriesStatus, WorkspaceStatus

MOST_LINES = 20
"""Of workspaces, and of series of each: those that matter come first, and the others are counted."""


def status_json(found: Sequence[WorkspaceStatus], now: datetime, *, with_series: bool) -> dict[str, Any]:
    """The object of `status --json`."""
    runs = [each.history.last_run for each in found if each.history.last_run is not None]
    report: dict[str, Any] = {
        "as_of": instant(max((each.measured_at for each in found), default=now)),
        "complete": all(each.complete for each in found),
        "last_run": _newest_run(runs),
        "workspaces": [_workspace_json(each) for each in found],
    }
    if with_series:
        report["series"] = [_series_json(each.name, series) for each in found for series in each.series]
    return report


def exit_code(found: Sequence[WorkspaceStatus], through: date | None, max_lag: float | None) -> int:
    """0, or 3 where something wanted is missing; where a condition is given, that condition's alone."""
    if through is not None and not all(each.is_complete_through(through) for each in found):
        return 3
    if max_lag is not None and not all(_within(each, max_lag) for each in found):
        return 3
    if through is None and max_lag is None:
        return 0 if all(each.complete for each in found) else 3
    return 0


def print_status(found: Sequence[WorkspaceStatus], now: datetime, out: TextIO, *, with_series: bool) -> None:
    """Write a line a workspace, those that matter first; with `with_series`, a line a series as well."""
    output = TextOutput(out)
    ordered = sorted(found, key=lambda each: (each.complete and not each.history.lock, each.name))
    shown = ordered[:MOST_LINES]
    head = ["workspace", "state", "complete through", "behind", "missing", "unsettled", "failing", "last run"]
    output.table(head, [_row(each, now) for each in shown], None)
    if len(ordered) > len(shown):
        fine = sum(each.complete for each in ordered[MOST_LINES:])
        output.line(f"and {count(len(ordered) - len(shown), 'workspace')}, of which {fine:,} are complete")
    output.line()
    for each in shown:
        if any(share is not None for share in each.days):
            output.line(f"{each.name:<12} {''.join(map(_mark, each.days))}")
    output.line("the last days, oldest first: # complete, + in part, . missing, blank: not wanted")
    for each in shown:
        _print_details(each, output)
    if with_series:
        output.line()
        rows = [_series_row(each.name, series) for each in found for series in each.series]
        output.table(["workspace", "series", "first", "last", "missing", "unsettled", "last error"], rows, None)


def _print_details(each: WorkspaceStatus, output: TextOutput) -> None:
    if each.history.last_run is None:
        output.line(f"{each.name}: no run has been: `collector run`", "yellow")
    if each.history.lock:
        output.line(f"{each.name}: {each.history.lock}", "yellow")
    failing = [series for series in each.series if series.last_error is not None]
    for error, count_of in _causes(failing).items():
        output.line(f"{each.name}: {count(count_of, 'series', 'series')}: {error}", "yellow")
    if each.missing_buckets:
        output.line(f"{each.name}: {count(each.missing_buckets, 'bucket')} are missing: the next run requests them")


def _causes(failing: Sequence[SeriesStatus]) -> dict[str, int]:
    causes: dict[str, int] = {}
    for series in failing:
        error = (series.last_error or "").removeprefix("workspace stopped: ").removeprefix("series refused: ")
        causes[error] = causes.get(error, 0) + 1
    return dict(sorted(causes.items(), key=lambda pair: -pair[1])[:3])


def _row(each: WorkspaceStatus, now: datetime) -> list[str]:
    last = each.history.last_run
    return [
        each.name,
        "complete" if each.complete else "never run" if last is None else "incomplete",
        "-" if each.complete_through is None else each.complete_through.isoformat(),
        "-" if each.lag_seconds is None else duration(each.lag_seconds),
        f"{each.missing_buckets:,}",
        f"{each.unsettled_buckets:,}",
        f"{each.failing_series:,}",
        "-" if last is None else f"{duration((now - last.started_at).total_seconds())} ago, {_end(last)}",
    ]


def _end(run: LastRun) -> str:
    return "died" if run.exit_code is None else f"exit {run.exit_code}"


def _mark(share: float | None) -> str:
    return " " if share is None else "#" if share == 1 else "." if share == 0 else "+"


def _within(each: WorkspaceStatus, max_lag: float) -> bool:
    if each.lag_seconds is not None:
        return each.lag_seconds <= max_lag
    # No lag: either all series have ended and are covered, or one has never been answered.
    return each.complete_through is None and each.complete


def _newest_run(runs: Sequence[LastRun]) -> dict[str, Any] | None:
    if not runs:
        return None
    newest = max(runs, key=lambda run: run.started_at)
    codes = {run.exit_code for run in runs}
    # A run that died has no code: that is worse than any but a bug.
    code = None if None in codes and 1 not in codes else first_exit_code(codes)
    return {**_run_json(newest), "exit_code": code}


def _run_json(run: LastRun) -> dict[str, Any]:
    ended = None if run.ended_at is None else instant(run.ended_at)
    started = instant(run.started_at)
    return {"run_id": run.run_id, "started_at": started, "ended_at": ended, "exit_code": run.exit_code}


def _workspace_json(each: WorkspaceStatus) -> dict[str, Any]:
    success, last = each.history.last_success_at, each.history.last_run
    return {
        "name": each.name,
        "complete": each.complete,
        "complete_through": each.complete_through and each.complete_through.isoformat(),
        "lag_seconds": each.lag_seconds,
        "series": len(each.series),
        "missing_buckets": each.missing_buckets,
        "unsettled_buckets": each.unsettled_buckets,
        "failing_series": each.failing_series,
        "last_success_at": None if success is None else instant(success),
        "last_run": None if last is None else _run_json(last),
    }


def _series_json(workspace: str, each: SeriesStatus) -> dict[str, Any]:
    key, span = each.series.key, each.covered
    return {
        "workspace": workspace,
        "metric": key.metric,
        "scope": key.scope.value,
        "unit": key.unit.value,
        "app": each.series.app,
        "segment": each.series.segment,
        "event": key.event,
        "first": format_bucket(key.unit, span.first) if span else None,
        "last": format_bucket(key.unit, span.stop - 1) if span else None,
        "missing_buckets": each.missing,
        "unsettled_buckets": each.unsettled,
        "last_error": each.last_error,
    }


def _series_row(workspace: str, each: SeriesStatus) -> list[str]:
    content = _series_json(workspace, each)
    figures = (f"{each.missing:,}", f"{each.unsettled:,}")
    return [
        workspace,
        str(each.series),
        content["first"] or "-",
        content["last"] or "-",
        *figures,
        each.last_error or "",
    ]
