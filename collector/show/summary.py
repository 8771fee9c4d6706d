"""What a run came to, as people read it: what came to one stream, what did not and what to do about it to another.

In: a summary. Out: lines. Nothing is computed here that `Summary.as_json` would not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from collector.lake.landing import Landed
from collector.show.advice import advice
from collector.show.figures import count, duration, instant
from collector.show.grouping import failure_lines, skip_lines
from collector.show.page import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.summary import Summary, WorkspaceSummary

MOST_LINES = 20
"""Causes of one kind that are told; the table collection_log has the rest."""

_NOTHING = Landed()


def print_summary(summary: Summary, out: TextIO, err: TextIO) -> None:
    """Write what came to `out`; failures, skipped windows, problems and advice to `err`."""
    _print_results(summary, Page(out))
    out.flush()  # where both streams are one, the results come first
    _print_troubles(summary, Page(err))


def _print_results(summary: Summary, page: Page) -> None:
    planned = sum(workspace.planned for workspace in summary.workspaces)
    in_trouble = summary.interrupted or any(workspace.problem for workspace in summary.workspaces)
    if not planned and not in_trouble:
        page.line(f"nothing to do: the lake holds all that is wanted as of {instant(summary.as_of)}")
        if summary.landed != _NOTHING:
            page.line(f"landed what an earlier run had left in the journal: {_rows(summary.landed)}")
        return
    page.line(f"run {summary.run_id}, as of {instant(summary.as_of)}: {_rows(summary.landed)}", "bold")
    page.line(_effort(summary, planned))
    if summary.landed.rows_restated:
        page.line(f"{count(summary.landed.rows_restated, 'row')} restated (see table restatements)")
    if len(summary.workspaces) > 1:
        page.line()
        _print_workspaces(summary.workspaces, page)


def _rows(landed: Landed) -> str:
    return (
        f"{count(landed.rows_added, 'row')} added, {landed.rows_restated:,} restated, "
        f"{landed.rows_unchanged:,} unchanged; {count(landed.files_written, 'file')} written"
    )


def _effort(summary: Summary, planned: int) -> str:
    requests = count(summary.attempts, "request")
    retries = summary.attempts - summary.windows_ok - summary.windows_failed
    told = f"{requests} ({count(retries, 'retry', 'retries')} among them)" if retries > 0 else requests
    answered = f"{summary.windows_ok:,} of {count(planned, 'window')} answered"
    return f"{answered} with {told} in {duration(summary.duration_seconds)}"


def _print_workspaces(workspaces: Sequence[WorkspaceSummary], page: Page) -> None:
    head = ["workspace", "windows", "answered", "failed", "skipped", "requests", "added", "restated", "unchanged"]
    page.table(head, [_row(workspace) for workspace in workspaces])


def _row(workspace: WorkspaceSummary) -> list[str]:
    tally = workspace.tally
    landed = tally.landed
    figures = (
        *(workspace.planned, tally.ok, tally.failed, tally.skipped, tally.attempts),
        *(landed.rows_added, landed.rows_restated, landed.rows_unchanged),
    )
    return [workspace.name, *(f"{figure:,}" for figure in figures)]


def _print_troubles(summary: Summary, page: Page) -> None:
    failures = [line for workspace in summary.workspaces for line in failure_lines(workspace)]
    skips = [line for workspace in summary.workspaces for line in skip_lines(workspace)]
    problems = [_problem(workspace) for workspace in summary.workspaces if workspace.problem is not None]
    if summary.interrupted:
        page.line("interrupted: what had been answered has landed", "bold yellow")
    _print_part(f"failed: {count(summary.windows_failed, 'window')}", failures, page, "bold red")
    _print_part(f"skipped: {count(summary.windows_skipped, 'window')}", skips, page, "bold yellow")
    _print_part(f"not run to the end: {count(len(problems), 'workspace')}", problems, page, "bold red")
    _print_part("what to do", advice(summary), page, "bold")


def _print_part(title: str, lines: Sequence[str], page: Page, style: str) -> None:
    if not lines:
        return
    page.line(title, style)
    for line in lines[:MOST_LINES]:
        page.line(f"  {line}")
    if len(lines) > MOST_LINES:
        page.line(f"  … and {len(lines) - MOST_LINES:,} more: see table collection_log")


def _problem(workspace: WorkspaceSummary) -> str:
    """The lake's own words, which mostly name the workspace already."""
    text = str(workspace.problem)
    return text if workspace.name in text else f"{workspace.name}: {text}"
