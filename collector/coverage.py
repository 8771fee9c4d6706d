"""What has been answered, series by series: sorted, disjoint runs of covered buckets, each with its oldest answer.

Pure arithmetic on tuples of `Covered`, as the plan reads them; `lake/runs.py` holds and grows them as a table. Nothing
here knows what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.model import SeriesKey, Span

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Covered:
    """A run of covered buckets and the instant of its oldest answer."""

    span: Span
    answered_at: datetime


Runs = tuple[Covered, ...]
"""Sorted by bucket, disjoint, none empty."""

Coverage = Mapping[SeriesKey, Runs]


def missing(span: Span, runs: Runs) -> list[Span]:
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


def answered_by(span: Span, runs: Runs, instant: datetime) -> list[Span]:
    """The covered parts of the span whose answer is of `instant` or older, oldest bucket first."""
    parts = (run.span & span for run in runs if run.answered_at <= instant)
    return [part for part in parts if part]
