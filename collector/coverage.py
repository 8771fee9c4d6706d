"""What has been answered, series by series: sorted, disjoint runs of covered buckets, each with its oldest answer.

Pure arithmetic on tuples of `Covered`, as the plan reads them; `lake/runs.py` holds and grows them as a table. Nothing
here knows what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.model import MAX_WINDOW, SeriesKey, Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class CoveredSpan:
    """A run of covered buckets and the instant of its oldest answer."""

    span: Span
    answered_at: datetime


CoveredSpans = tuple[CoveredSpan, ...]
"""Sorted by bucket, disjoint, none empty."""

Coverage = Mapping[SeriesKey, CoveredSpans]


def missing_spans(span: Span, runs: CoveredSpans) -> list[Span]:
    """The parts of the span that no run covers, oldest first."""
    holes = []
    first = span.first
    for run in runs:
        if run.span.stop <= first:
            continue
        if run.span.first >= span.stop:
            break
        if run.span.first > first:
            holes.append(Span(first, run.span.first))
        first = run.span.stop
    if first < span.stop:
        holes.append(Span(first, span.stop))
    return holes


def stale_spans(span: Span, runs: CoveredSpans, instant: datetime) -> list[Span]:
    """The covered parts of the span whose answer is of `instant` or older, oldest bucket first."""
    parts = (run.span & span for run in runs if run.answered_at <= instant)
    return [part for part in parts if part]


def pack(spans: Sequence[Span]) -> list[Span]:
    """The fewest windows of at most 100 buckets that hold all buckets of the spans; newest first.

    `spans` are sorted and disjoint. Small holes share a window with what lies between them: an answer costs the same
    with 2 buckets as with 100.
    """
    windows: list[Span] = []
    for span in reversed(spans):
        stop = span.stop
        if windows and stop > windows[-1].stop - MAX_WINDOW:
            stop = max(span.first, windows[-1].stop - MAX_WINDOW)
            windows[-1] = Span(stop, windows[-1].stop)
        while stop > span.first:
            first = max(span.first, stop - MAX_WINDOW)
            windows.append(Span(first, stop))
            stop = first
    return windows
