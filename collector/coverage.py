"""What has been answered, series by series: sorted, disjoint runs of covered buckets, each with its oldest answer.

Pure arithmetic on tuples of `Covered`; `lake/coverage_table.py` reads and writes them. Nothing here knows what
is wanted.
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


def without(runs: Runs, span: Span) -> Runs:
    """Forget the buckets of the span."""
    kept: list[Covered] = []
    for run in runs:
        before = Span(run.span.first, min(run.span.stop, span.first))
        after = Span(max(run.span.first, span.stop), run.span.stop)
        kept += [Covered(part, run.answered_at) for part in (before, after) if part]
    return tuple(kept)


def with_answer(runs: Runs, span: Span, answered_at: datetime, stale: datetime) -> Runs:
    """Cover the span with an answer of `answered_at`, and join what need not be told apart.

    Neighbours join where their answers are equally old, or both are of `stale` or older: no later run tells two stale
    answers apart, so the runs of a series do not grow with its history.
    """
    joined: list[Covered] = []
    for run in sorted((*without(runs, span), Covered(span, answered_at)), key=_by_bucket):
        last = joined[-1] if joined else None
        if last is not None and last.span.stop == run.span.first and _alike(last.answered_at, run.answered_at, stale):
            oldest = min(last.answered_at, run.answered_at)
            joined[-1] = Covered(Span(last.span.first, run.span.stop), oldest)
        else:
            joined.append(run)
    return tuple(joined)


def _by_bucket(run: Covered) -> int:
    return run.span.first


def _alike(one: datetime, other: datetime, stale: datetime) -> bool:
    return one == other or (one <= stale and other <= stale)
