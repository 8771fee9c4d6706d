"""What failed or was skipped, and why, told once for all windows that share a cause. Pure.

In: a workspace's tally. Out: lines. A dead segment fails in every window of both units, a refused key skips thousands:
a person wants the cause, how much it struck, and an example; the table collection_log has every window.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from collector.calendar import label
from collector.model import Span
from collector.show.figures import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.model import Series
    from collector.outcome import Failed
    from collector.summary import WorkspaceSummary

NAMED = 3
"""Series of one cause that are named each; of more, one is the example."""

_Struck = dict["Series", list[Span]]


def failure_lines(workspace: WorkspaceSummary) -> list[str]:
    """One line for each cause and series, or one for a cause that struck many series."""
    causes: dict[str, _Struck] = defaultdict(lambda: defaultdict(list))
    for failure in workspace.tally.failures:
        causes[_cause(failure)][failure.window.series].append(failure.window.span)
    return [line for cause, struck in causes.items() for line in _failure_lines(workspace.name, cause, struck)]


def skip_lines(workspace: WorkspaceSummary) -> list[str]:
    """One line for each reason, the one that struck most windows first."""
    series: dict[str, list[Series]] = defaultdict(list)
    for skipped in workspace.tally.skips.values():
        series[skipped.error].append(skipped.window.series)
    return [
        f"{workspace.name}  {reason} ({_how_many(windows, series[reason])})"
        for reason, windows in workspace.tally.skip_reasons.most_common()
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
    return f"{series}  {label(series.unit, first)}..{label(series.unit, stop - 1)}"


def _how_many(windows: int, series: Sequence[Series]) -> str:
    """A series that was skipped for two reasons stands under its first alone, so a reason may have none to name."""
    many = count(windows, "window")
    if not series:
        return many
    if len(series) <= NAMED:
        return f"{many}: {', '.join(map(str, series))}"
    return f"{many} of {count(len(series), 'series', 'series')}"
