"""What to do after a run that left something out. Pure: a summary in, sentences out.

What failed or was skipped, and why, told once for all windows that share a cause. Pure.

In: a workspace's tally. Out: lines. A dead segment fails in every window of both units, a refused key skips thousands:
a person wants the cause, how much it struck, and an example; the table collection_log has every window.

What a repair found, for people and as JSON: every file by name, what was done, what that costs, what is next.

What a run came to, as people read it: what came to one stream, what did not and what to do about it to another.

In: a summary. Out: lines. Nothing is computed here that `Summary.as_json` would not tell.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TextIO

from collector.buckets import format_bucket
from collector.lake.landing import LandingCounts
from collector.lake.paths import FileKind
from collector.lake.repair import RepairResult, exit_code
from collector.lake.store import LakeBusy
from collector.model import Span
from collector.show.text import TextOutput, count, duration, instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collector.model import Failed, Series
    from collector.summary import Summary, WorkspaceSummary


MOST_NAMES = 5

_BY_STATUS: Mapping[int, str] = {
    400: (
        "an id is unknown there, or its segment has no analytics tracking; mend it, or take it "
        "out of the config, or give it an `end`"
    ),
    401: "the key was refused: set the right one, and check that `endpoint` is its instance",
    403: "the key lacks a permission: give it sessions.data_series",
    404: "nothing is served at `endpoint`: compare it with the instance in the dashboard's address",
    429: "others use the same pool: lower `rate_limit.per_hour`, raise `reserve`, or run at a quieter hour",
}

_BY_SKIP: Mapping[str, str] = {
    "deadline": "the deadline came first: set a later one, or let several runs share the work",
    "max-requests": "--max-requests left the rest for later runs: run again, or raise it",
}

_SERVER = "the server or the network failed: if the next run meets it too, look at the `endpoint` and at Braze's status"
_BUSY = "another run was at work: let it end; if this comes back, look for a scheduler that starts two"
_LAKE = "mend what is wrong with the lake and run again: answers that had not landed wait in its journal"


def suggestions(summary: Summary) -> list[str]:
    """What the next run does, and what a person can do, each with the workspaces that it concerns."""
    concerned: dict[str, list[str]] = defaultdict(list)
    for workspace in summary.workspaces:
        for sentence in _sentences(workspace):
            concerned[sentence].append(workspace.name)
    left = summary.windows_failed + summary.windows_skipped
    first = ["the next run asks for it again"] if left else []
    return first + [f"{_join_names(names)}: {sentence}" for sentence, names in concerned.items()]


def _sentences(workspace: WorkspaceSummary) -> Iterator[str]:
    failures = workspace.counts.failures
    statuses = {failure.http_status for failure in failures}
    yield from (sentence for status, sentence in _BY_STATUS.items() if status in statuses)
    if any(_is_the_servers(failure) for failure in failures):
        yield _SERVER
    for word, sentence in _BY_SKIP.items():
        if any(word in reason for reason in workspace.counts.skip_reasons):
            yield sentence
    if workspace.problem is not None:
        yield _BUSY if isinstance(workspace.problem, LakeBusy) else _LAKE


def _is_the_servers(failure: Failed) -> bool:
    """No reply, a 5xx, or a success that held no answer; not what was in flight when the run was stopped."""
    if failure.error.startswith("interrupted"):
        return False
    return failure.http_status is None or not 300 <= failure.http_status < 500


def _join_names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


NAMED = 3
"""Series of one cause that are named each; of more, one is the example."""

_Struck = dict["Series", list[Span]]


def failure_groups(workspace: WorkspaceSummary) -> list[str]:
    """One line for each cause and series, or one for a cause that struck many series."""
    causes: dict[str, _Struck] = defaultdict(lambda: defaultdict(list))
    for failure in workspace.counts.failures:
        causes[_cause(failure)][failure.window.series].append(failure.window.span)
    return [line for cause, struck in causes.items() for line in _failure_lines(workspace.name, cause, struck)]


def skip_groups(workspace: WorkspaceSummary) -> list[str]:
    """One line for each reason, the one that struck most windows first."""
    series: dict[str, list[Series]] = defaultdict(list)
    for skipped in workspace.counts.skips.values():
        series[skipped.error].append(skipped.window.series)
    return [
        f"{workspace.name}  {reason} ({_how_many(windows, series[reason])})"
        for reason, windows in workspace.counts.skip_reasons.most_common()
    ]


def _cause(failure: Failed) -> str:
    status = "" if failure.http_status is None else str(failure.http_status)
    return failure.error if status in failure.error else f"{status} {failure.error}"


def _failure_lines(name: str, cause: str, struck: Mapping[Series, Sequence[Span]]) -> list[str]:
    if len(struck) <= NAMED:
        return [f"{_place(series, spans)}  {cause} ({count(len(spans), 'window')})" for series, spans in struck.items()]
    windows = sum(len(spans) for spans in struck.values())
    example = _place(*next(iter(struck.items())))
    many = f"{count(windows, 'window')} of {count(len(struck), 'series', 'series')}"
    return [f"{name}  {cause} ({many}, such as {example})"]


def _place(series: Series, spans: Iterable[Span]) -> str:
    """`acme/ios/dead by day  2026-11-01..2026-11-22`."""
    spans = list(spans)
    first, stop = min(span.first for span in spans), max(span.stop for span in spans)
    return f"{series}  {format_bucket(series.unit, first)}..{format_bucket(series.unit, stop - 1)}"


def _how_many(windows: int, series: Sequence[Series]) -> str:
    """A series that was skipped for two reasons stands under its first alone, so a reason may have none to name."""
    many = count(windows, "window")
    if not series:
        return many
    if len(series) <= NAMED:
        return f"{many}: {', '.join(map(str, series))}"
    return f"{many} of {count(len(series), 'series', 'series')}"


def print_repair(repairs: Sequence[RepairResult], strays: Sequence[str], *, dry_run: bool, out: TextIO) -> None:
    """Write a line a workspace, a paragraph a file, and what to do next."""
    page = TextOutput(out)
    for repair in repairs:
        page.line(
            f"{repair.workspace}: {count(repair.checked, 'file')} read whole, {len(repair.found)} not as it must be"
        )
        for found in repair.found:
            page.line(f"  {found.path}: {found.reason}", "bold yellow")
            page.line(
                f"    {f'moved to {found.moved_to}' if found.moved_to else 'left where it is'}; {found.consequence}"
            )
        if repair.problem is not None:
            page.line(f"  not gone through to the end: {repair.problem}", "bold red")
    for path in strays:
        page.line(f"{path}: of no workspace, and no file of the collector's; take it out of the lake", "bold yellow")
    for line in _next_step(repairs, dry_run):
        page.line(line)


def repair_json(repairs: Sequence[RepairResult], strays: Sequence[str]) -> dict[str, Any]:
    """The same as one object."""
    return {
        "exit_code": exit_code(repairs, strays),
        "workspaces": [
            {
                "name": repair.workspace,
                "checked": repair.checked,
                "problem": str(repair.problem) if repair.problem else None,
                "found": [
                    {
                        "path": found.path,
                        "kind": found.kind.value,
                        "reason": found.reason,
                        "moved_to": found.moved_to,
                        "then": found.consequence,
                    }
                    for found in repair.found
                ],
            }
            for repair in repairs
        ],
        "strays": list(strays),
    }


def _next_step(repairs: Sequence[RepairResult], dry_run: bool) -> list[str]:
    found = [found for repair in repairs for found in repair.found]
    lines = []
    if any(found.moved_to for found in found):
        lines.append("next: collector run. What was moved is kept until you remove it")
    if dry_run and any(found.kind is not FileKind.FOREIGN for found in found):
        lines.append("next: collector repair moves them aside")
    if any(found.kind is FileKind.FOREIGN and not found.moved_to for found in found):
        lines.append("next: collector repair --foreign moves foreign files aside, too")
    return lines


MOST_LINES = 20
"""Causes of one kind that are told; the table collection_log has the rest."""

_NOTHING = LandingCounts()


def print_summary(summary: Summary, out: TextIO, err: TextIO) -> None:
    """Write what came to `out`; failures, skipped windows, problems and advice to `err`."""
    _print_results(summary, TextOutput(out))
    out.flush()  # where both streams are one, the results come first
    _print_troubles(summary, TextOutput(err))


def _print_results(summary: Summary, page: TextOutput) -> None:
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


def _rows(landed: LandingCounts) -> str:
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


def _print_workspaces(workspaces: Sequence[WorkspaceSummary], page: TextOutput) -> None:
    head = ["workspace", "windows", "answered", "failed", "skipped", "requests", "added", "restated", "unchanged"]
    page.table(head, [_row(workspace) for workspace in workspaces])


def _row(workspace: WorkspaceSummary) -> list[str]:
    counts = workspace.counts
    landed = counts.landed
    figures = (
        *(workspace.planned, counts.ok, counts.failed, counts.skipped, counts.attempts),
        *(landed.rows_added, landed.rows_restated, landed.rows_unchanged),
    )
    return [workspace.name, *(f"{figure:,}" for figure in figures)]


def _print_troubles(summary: Summary, page: TextOutput) -> None:
    failures = [line for workspace in summary.workspaces for line in failure_groups(workspace)]
    skips = [line for workspace in summary.workspaces for line in skip_groups(workspace)]
    problems = [_problem(workspace) for workspace in summary.workspaces if workspace.problem is not None]
    if summary.interrupted:
        page.line("interrupted: what had been answered has landed", "bold yellow")
    _print_part(f"failed: {count(summary.windows_failed, 'window')}", failures, page, "bold red")
    _print_part(f"skipped: {count(summary.windows_skipped, 'window')}", skips, page, "bold yellow")
    _print_part(f"not run to the end: {count(len(problems), 'workspace')}", problems, page, "bold red")
    _print_part("what to do", suggestions(summary), page, "bold")


def _print_part(title: str, lines: Sequence[str], page: TextOutput, style: str) -> None:
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
