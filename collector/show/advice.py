"""What to do after a run that left something out. Pure: a summary in, sentences out."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from collector.lake.errors import LakeBusy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collector.outcome import Failed
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


def advice(summary: Summary) -> list[str]:
    """What the next run does, and what a person can do, each with the workspaces that it concerns."""
    concerned: dict[str, list[str]] = defaultdict(list)
    for workspace in summary.workspaces:
        for sentence in _sentences(workspace):
            concerned[sentence].append(workspace.name)
    left = summary.windows_failed + summary.windows_skipped
    first = ["the next run asks for it again"] if left else []
    return first + [f"{_names(names)}: {sentence}" for sentence, names in concerned.items()]


def _sentences(workspace: WorkspaceSummary) -> Iterator[str]:
    failures = workspace.tally.failures
    statuses = {failure.http_status for failure in failures}
    yield from (sentence for status, sentence in _BY_STATUS.items() if status in statuses)
    if any(_is_the_servers(failure) for failure in failures):
        yield _SERVER
    for word, sentence in _BY_SKIP.items():
        if any(word in reason for reason in workspace.tally.skip_reasons):
            yield sentence
    if workspace.problem is not None:
        yield _BUSY if isinstance(workspace.problem, LakeBusy) else _LAKE


def _is_the_servers(failure: Failed) -> bool:
    """No reply, a 5xx, or a success that held no answer; not what was in flight when the run was stopped."""
    if failure.error.startswith("interrupted"):
        return False
    return failure.http_status is None or not 300 <= failure.http_status < 500


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
