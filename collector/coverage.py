"""Which buckets of a series are covered, that is answered, and since when: arithmetic on spans.

In and out: tuples of spans, sorted and disjoint. Pure: nothing here knows the config, the clock or the lake.
`lake/covered_spans.py` has those of all series in one table; the plan reads that of each series in this form.
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
    """Consecutive covered buckets, and the instant of the oldest answer among them.

    `answered_at` is None where the coverage was voided: the buckets are wanted, and not covered. `settled`: whether
    each was answered when it was as old as the lookback.
    """

    span: Span
    answered_at: datetime | None
    settled: bool = True


CoveredSpans = tuple[CoveredSpan, ...]
"""The covered spans of a series: sorted by bucket, disjoint, none empty."""

Coverage = Mapping[SeriesKey, CoveredSpans]


def missing_spans(span: Span, covered: CoveredSpans) -> list[Span]:
    """The parts of the span that are not covered, oldest first."""
    missing = []
    # Each bucket of the span below `first` is covered, or is in `missing`. `covered` is sorted and disjoint, so one
    # pass is enough. `first` may pass `span.stop`: then nothing is left.
    first = span.first
    for each in covered:
        if each.span.stop <= first:
            continue
        if each.span.first >= span.stop:
            break
        if each.span.first > first:
            missing.append(Span(first, each.span.first))
        first = each.span.stop
    if first < span.stop:
        missing.append(Span(first, span.stop))
    return missing


def stale_spans(wanted: Span, lookback: Span, answered: CoveredSpans, stale_at: datetime) -> list[Span]:
    """The wanted buckets to read again, oldest first: those of the lookback, and those that are not settled.

    They were answered at `stale_at` or before. An empty lookback turns all reading again off.
    """
    if not lookback:
        return []
    # Covered spans are sorted and disjoint, so these parts are as well. A span that does not overlap gives an empty
    # part.
    parts = (
        each.span & wanted & lookback if each.settled else each.span & wanted
        for each in answered
        if each.answered_at is not None and each.answered_at <= stale_at
    )
    return [part for part in parts if part]


def answered_spans(covered: CoveredSpans) -> CoveredSpans:
    """The covered spans without those that were voided."""
    return tuple(each for each in covered if each.answered_at is not None)


def pack(spans: Sequence[Span]) -> list[Span]:
    """The fewest windows of at most 100 buckets that contain all buckets of the spans; newest first.

    `spans` are sorted and disjoint. Small spans share a window, together with the buckets between them: a request costs
    the same for 2 buckets as for 100.
    """
    windows: list[Span] = []
    # `windows` stay disjoint and newest first, which is the order of the requests.
    for span in reversed(spans):
        stop = span.stop
        # Every window ends at the newest bucket that no window contains yet, which makes them the fewest. The last one
        # made still reaches down to `stop - MAX_WINDOW`: buckets of this span within its reach join it.
        if windows and stop > windows[-1].stop - MAX_WINDOW:
            stop = max(span.first, windows[-1].stop - MAX_WINDOW)
            windows[-1] = Span(stop, windows[-1].stop)
        # What is left of the span gets windows of its own.
        while stop > span.first:
            first = max(span.first, stop - MAX_WINDOW)
            windows.append(Span(first, stop))
            stop = first
    return windows
