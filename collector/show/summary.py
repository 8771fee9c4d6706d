"""The end of a run and of a repair, as people read it: what was done, what failed, and what to do about it.

In: a Summary, or the results of a repair. Out: lines on two streams, and the object of `repair --json`. Windows that
failed or were skipped for one cause share a paragraph: an unknown segment fails in every window, and a rejected key
skips thousands. The table collection_log has every window. Nothing is counted here that the summary does not hold.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TextIO

from collector.buckets import format_bucket
from collector.lake.landing import LandingCounts
from collector.lake.paths import FileKind
from collector.lake.repair import RepairResult, exit_code
from collector.lake.store import LakeBusy
from collector.show.text import TextOutput, count, duration, instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collector.model import Failed, Series, Span
    from collector.summary import Summary, WorkspaceSummary


MAX_ITEMS = 20
"""Most causes of one kind; the table collection_log has the rest."""
MAX_SERIES = 3
"""Most series of one cause that are named each; of more, one is given as an example."""
MAX_WORKSPACES = 5
"""Most workspaces that one suggestion names."""

_BY_STATUS: Mapping[int, str] = {
    400: (
        "an id is unknown to the API, or its segment does not have analytics tracking: correct it, remove it from the "
        "config, or give it an `end`"
    ),
    401: "the API key was rejected: set the right one, and check that it belongs to the instance in `endpoint`",
    403: (
        "the API key lacks the permission that is named above: make a new key that has it, since the permissions of a "
        "Braze key cannot be changed after it was made"
    ),
    404: "the API was not found at `endpoint`: compare it with the instance in the dashboard's address",
    429: "others use the same quota: lower `rate_limit.per_hour`, raise `reserve`, or run at a quieter hour",
}

_BY_SKIP_REASON: Mapping[str, str] = {
    "deadline": "the deadline came first: set a later one, or divide the workspaces among several runs",
    "max-requests": "--max-requests left the other windows for later runs: run again, or raise it",
}

_SERVER = "the server or the network failed: if the next run fails too, check `endpoint` and Braze's status page"
_BUSY = "another run was in progress: wait for its end; if this happens again, check for a scheduler that starts two"
_BUG = "report the bug, with its traceback from the log; nothing that was answered is lost"
_LAKE = "fix the problem with the lake and run again; answers that were not landed yet are in the journal"
_NO_CHANGE = LandingCounts()


def print_summary(summary: Summary, out: TextIO, err: TextIO) -> None:
    """Write the results to `out`; failures, skipped windows, problems and suggestions to `err`."""
    _print_results(summary, TextOutput(out))
    out.flush()  # both may be the same terminal or file: the results come first
    _print_problems(summary, TextOutput(err))


def suggestions(summary: Summary) -> list[str]:
    """What the user can do, each with the workspaces that it is for, and then what the next run does."""
    names: dict[str, list[str]] = defaultdict(list)
    for workspace in summary.workspaces:
        for text in _suggestions_for(workspace):
            names[text].append(workspace.name)
    unanswered = summary.windows_failed + summary.windows_skipped
    last = ["the next run requests these windows again"] if unanswered else []
    return [f"{_join_names(of)}: {text}" for text, of in names.items()] + last


def failure_groups(workspace: WorkspaceSummary) -> list[str]:
    """A paragraph for each cause: its windows, and below it its series, or one of them where they are many."""
    causes: dict[str, dict[Series, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for failure in workspace.counts.failures:
        causes[_cause(failure)][failure.window.series].append(failure.window.span)
    return [_failure_group(workspace.name, cause, spans) for cause, spans in causes.items()]


def skip_groups(workspace: WorkspaceSummary) -> list[str]:
    """A paragraph for each reason, the reason with the most windows first; below it its series where they are few."""
    series: dict[str, list[Series]] = defaultdict(list)
    for skipped in workspace.counts.skips.values():
        series[skipped.error].append(skipped.window.series)
    return [
        _skip_group(workspace.name, reason, windows, series[reason])
        for reason, windows in workspace.counts.skip_reasons.most_common()
    ]


def print_repair(results: Sequence[RepairResult], unowned: Sequence[str], *, dry_run: bool, out: TextIO) -> None:
    """Write a line for each workspace, the damaged files of each, and what to do next."""
    output = TextOutput(out)
    for result in results:
        problems = count(len(result.found), "problem")
        output.line(f"{result.workspace}: {count(result.checked, 'file')} checked, {problems} found")
        for file in result.found:
            output.line(f"  {file.path}: {file.reason}", "bold yellow")
            output.line(f"    {f'moved to {file.moved_to}' if file.moved_to else 'left in place'}; {file.consequence}")
        if result.problem is not None:
            output.line(f"  stopped before the end: {result.problem}", "bold red")
    for path in unowned:
        output.line(f"{path}: belongs to no workspace, not written by the collector: remove it", "bold yellow")
    for line in _next_steps(results, dry_run):
        output.line(line)


def repair_json(results: Sequence[RepairResult], unowned: Sequence[str]) -> dict[str, Any]:
    """The object of `repair --json`."""
    return {
        "exit_code": exit_code(results, unowned),
        "workspaces": [
            {
                "name": result.workspace,
                "checked": result.checked,
                "problem": str(result.problem) if result.problem else None,
                "found": [
                    {
                        "path": file.path,
                        "kind": file.kind.value,
                        "reason": file.reason,
                        "moved_to": file.moved_to,
                        "then": file.consequence,
                    }
                    for file in result.found
                ],
            }
            for result in results
        ],
        "strays": list(unowned),
    }


def _print_results(summary: Summary, output: TextOutput) -> None:
    planned = sum(workspace.planned for workspace in summary.workspaces)
    has_problem = summary.interrupted or any(workspace.problem or workspace.bug for workspace in summary.workspaces)
    if not planned and not has_problem:
        output.line(f"nothing to do: the lake is complete as of {instant(summary.as_of)}")
        if summary.landed != _NO_CHANGE:
            output.line(f"landed the journal of an earlier run: {_rows(summary.landed)}")
        return
    output.line(f"run {summary.run_id}, as of {instant(summary.as_of)}", "bold")
    output.line(_rows(summary.landed))
    output.line(_requests(summary, planned))
    if summary.landed.rows_restated:
        output.line("restated rows: see the table restatements")
    if len(summary.workspaces) > 1:
        output.line()
        head = ["workspace", "windows", "ok", "failed", "skipped", "requests", "added", "restated", "unchanged"]
        output.table(head, [_workspace_row(workspace) for workspace in summary.workspaces])


def _rows(landed: LandingCounts) -> str:
    return (
        f"{count(landed.rows_added, 'row')} added, {landed.rows_restated:,} restated, "
        f"{landed.rows_unchanged:,} unchanged; {count(landed.files_written, 'file')} written"
    )


def _requests(summary: Summary, planned: int) -> str:
    requests = count(summary.attempts, "request")
    retries = summary.attempts - summary.windows_ok - summary.windows_failed
    if retries > 0:
        requests = f"{requests} (including {count(retries, 'retry', 'retries')})"
    answered = f"{summary.windows_ok:,} of {count(planned, 'window')} answered"
    return f"{answered} with {requests} in {duration(summary.duration_seconds)}"


def _workspace_row(workspace: WorkspaceSummary) -> list[str]:
    counts = workspace.counts
    landed = counts.landed
    figures = (
        *(workspace.planned, counts.ok, counts.failed, counts.skipped, counts.attempts),
        *(landed.rows_added, landed.rows_restated, landed.rows_unchanged),
    )
    return [workspace.name, *(f"{figure:,}" for figure in figures)]


def _print_problems(summary: Summary, output: TextOutput) -> None:
    failures = [line for workspace in summary.workspaces for line in failure_groups(workspace)]
    skips = [line for workspace in summary.workspaces for line in skip_groups(workspace)]
    problems = [_problem(workspace) for workspace in summary.workspaces if workspace.problem or workspace.bug]
    if summary.interrupted:
        output.line("interrupted: all answers received so far were landed", "bold yellow")
    _print_section(f"failed: {count(summary.windows_failed, 'window')}", failures, output, "bold red")
    _print_section(f"skipped: {count(summary.windows_skipped, 'window')}", skips, output, "bold yellow")
    _print_section(f"not completed: {count(len(problems), 'workspace')}", problems, output, "bold red")
    _print_section("what to do", suggestions(summary), output, "bold")


def _print_section(title: str, items: Sequence[str], output: TextOutput, style: str) -> None:
    if not items:
        return
    output.line(title, style)
    for item in items[:MAX_ITEMS]:
        output.line(f"  {item}")
    if len(items) > MAX_ITEMS:
        output.line(f"  … and {len(items) - MAX_ITEMS:,} more: see the table collection_log")


def _problem(workspace: WorkspaceSummary) -> str:
    """The error's text, which mostly names the workspace already."""
    if workspace.bug is not None:
        return f"{workspace.name}: {workspace.bug_text}"
    text = str(workspace.problem)
    return text if workspace.name in text else f"{workspace.name}: {text}"


def _suggestions_for(workspace: WorkspaceSummary) -> Iterator[str]:
    failures = workspace.counts.failures
    statuses = {failure.http_status for failure in failures}
    yield from (text for status, text in _BY_STATUS.items() if status in statuses)
    if any(_is_server_failure(failure) for failure in failures):
        yield _SERVER
    for word, text in _BY_SKIP_REASON.items():
        if any(word in reason for reason in workspace.counts.skip_reasons):
            yield text
    if workspace.bug is not None:
        yield _BUG
    if workspace.problem is not None:
        yield _BUSY if isinstance(workspace.problem, LakeBusy) else _LAKE


def _is_server_failure(failure: Failed) -> bool:
    """No reply, a 5xx, or a 2xx without a valid response; not one in flight when the run stopped, nor a wrong clock."""
    if failure.error.startswith(("interrupted", "not closed", "this machine's clock")):
        return False
    return failure.http_status is None or not 300 <= failure.http_status < 500


def _join_names(names: Sequence[str]) -> str:
    more = len(names) - MAX_WORKSPACES
    return ", ".join(names[:MAX_WORKSPACES]) + (f" and {more:,} more" if more > 0 else "")


def _cause(failure: Failed) -> str:
    """The error's text, with the HTTP status in front where the text does not contain it."""
    status = "" if failure.http_status is None else str(failure.http_status)
    return failure.error if status in failure.error else f"HTTP {status}: {failure.error}"


def _failure_group(workspace: str, cause: str, spans: Mapping[Series, Sequence[Span]]) -> str:
    head = f"{workspace}: {cause} ({_size(sum(map(len, spans.values())), len(spans))})"
    lines = [_series_and_span(series, each) for series, each in spans.items()]
    return _paragraph(head, lines if len(lines) <= MAX_SERIES else [f"such as {lines[0]}"])


def _skip_group(workspace: str, reason: str, windows: int, series: Sequence[Series]) -> str:
    """`series` has each series under its first reason alone, so it may be empty."""
    head = f"{workspace}: {reason} ({_size(windows, len(series))})"
    return _paragraph(head, list(map(str, series)) if len(series) <= MAX_SERIES else [])


def _size(windows: int, series: int) -> str:
    of = f" of {series:,} series" if series > MAX_SERIES else ""
    return count(windows, "window") + of


def _paragraph(head: str, lines: Sequence[str]) -> str:
    return "\n    ".join([head, *lines])


def _series_and_span(series: Series, spans: Iterable[Span]) -> str:
    """`acme/ios/dead by day  2026-11-01..2026-11-22`, from the first to the last bucket of all spans."""
    spans = list(spans)
    first, stop = min(span.first for span in spans), max(span.stop for span in spans)
    return f"{series}  {format_bucket(series.unit, first)}..{format_bucket(series.unit, stop - 1)}"


def _next_steps(results: Sequence[RepairResult], dry_run: bool) -> list[str]:
    files = [file for result in results for file in result.found]
    lines = []
    if any(file.moved_to for file in files):
        lines.append("next: collector run. Quarantined files are kept until you delete them")
    if dry_run and any(file.kind is not FileKind.FOREIGN for file in files):
        lines.append("next: collector repair, to quarantine damaged files")
    if any(file.kind is FileKind.FOREIGN and not file.moved_to for file in files):
        lines.append("next: collector repair --foreign, to quarantine foreign files, too")
    return lines
