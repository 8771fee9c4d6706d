"""What this run asks for: wanted minus covered, plus the lookback. Pure.

In: a workspace's config, its coverage, the instant that "now" is. Out: windows, newest first, all series of one span
together. It never reads the lake or the clock, and asks for closed buckets alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from collector.buckets import end_of_closed, span_of_dates, start_of
from collector.coverage import Coverage, CoveredSpans, missing_spans, pack, stale_spans
from collector.model import Reason, Scope, Series, SeriesKey, Span, Unit
from collector.windows import SpanGroup, Windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date, datetime

    from collector.config.settings import App, Segment, Workspace
    from collector.windows import RecencyKey


class ConfiguredSeries(NamedTuple):
    """A series that the config names, and its first and last wanted dates, local and included (None: open)."""

    series: Series
    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line leaves of a plan: apps by name (none given: all), and a span to read again."""

    apps: frozenset[str] = frozenset()
    first: date | None = None
    last: date | None = None

    @property
    def forced(self) -> bool:
        """Whether a span of dates is to be read whatever its coverage."""
        return self.first is not None or self.last is not None


ALL = Selection()


def configured_series(workspace: Workspace) -> Iterator[ConfiguredSeries]:
    """Every series that the config names, in the order of scope, app_id, segment_id, unit.

    So they are asked for in the order of the lake's rows, and a landing reads each entry of its journal about once.
    """
    return (
        _configure(workspace, scope, unit, app, segment)
        for scope in Scope
        if scope in workspace.scopes
        for app, segment in _members(workspace, scope)
        for unit in Unit
        if unit in workspace.units
    )


def wanted_span(declared: ConfiguredSeries, workspace: Workspace, runs: CoveredSpans, now: datetime) -> Span:
    """The closed buckets that the config wants of a series (CONTRACT: wanted)."""
    unit, zone = declared.series.unit, workspace.timezone
    dates = span_of_dates(unit, declared.start, declared.end, zone)
    closed = end_of_closed(unit, now, workspace.settle, zone)
    first = dates.first
    if declared.start is None:
        first = closed - workspace.lookback[unit]
        if runs:
            first = min(first, runs[0].span.first)
    return Span(first, min(dates.stop, closed))


def plan(workspace: Workspace, coverage: Coverage, now: datetime, narrowing: Selection = ALL) -> Windows:
    """The windows to ask for, newest first."""
    newest = cache(partial(_newest, workspace))
    groups: dict[tuple[Unit, Span], SpanGroup] = {}
    asked: dict[object, list[tuple[SpanGroup, Reason]]] = {}
    for declared in configured_series(workspace):
        series = declared.series
        if narrowing.apps and series.app not in narrowing.apps:
            continue
        runs = coverage.get(series.key, ())
        alike = (series.unit, declared.start, declared.end, runs)  # such series are asked for the same spans
        if alike not in asked:
            asked[alike] = [
                (groups.setdefault((series.unit, span), SpanGroup(newest(series.unit, span), span)), reason)
                for span, reason in _spans(declared, workspace, runs, now, narrowing)
            ]
        for group, reason in asked[alike]:
            group.series.append(series)
            group.reasons.append(reason)
    return Windows(groups.values())


def estimated_seconds(workspace: Workspace, requests: int) -> float:
    """How long so many requests take at the permitted pace, with the waits for the pool's next hours; no latency."""
    limit = workspace.rate_limit
    an_hour = max(1, int(limit.per_hour * (1 - limit.reserve)))
    full_hours = max(0, requests - 1) // an_hour
    return full_hours * 3600 + (requests - full_hours * an_hour) / limit.per_second


def _newest(workspace: Workspace, unit: Unit, span: Span) -> RecencyKey:
    first, stop = (start_of(unit, bucket, workspace.timezone).timestamp() for bucket in (span.first, span.stop))
    return -stop, -first, unit


def _spans(
    declared: ConfiguredSeries, workspace: Workspace, runs: CoveredSpans, now: datetime, narrowing: Selection
) -> Iterator[tuple[Span, Reason]]:
    """The windows of a series: their spans, and why each is asked for."""
    unit, zone = declared.series.unit, workspace.timezone
    if narrowing.forced:
        span = span_of_dates(unit, narrowing.first, narrowing.last, zone) & span_of_dates(
            unit, declared.start, declared.end, zone
        )
        closed = end_of_closed(unit, now, workspace.settle, zone)
        forced = span & Span(span.first, closed)
        return ((part, Reason.FORCED) for part in pack([forced] if forced else []))
    span = wanted_span(declared, workspace, runs, now)
    holes = missing_spans(span, runs)
    stale = stale_spans(_lookback(workspace, unit, now) & span, runs, now - workspace.refresh_after)
    return ((part, _reason(part, holes, runs)) for part in pack(_union(holes, stale)))


def _lookback(workspace: Workspace, unit: Unit, now: datetime) -> Span:
    closed = end_of_closed(unit, now, workspace.settle, workspace.timezone)
    return Span(closed - workspace.lookback[unit], closed)


def _reason(window: Span, holes: Sequence[Span], runs: CoveredSpans) -> Reason:
    asked = [hole & window for hole in holes if hole & window]
    if not asked:
        return Reason.LOOKBACK
    return Reason.NEW if not runs or asked[-1].stop > runs[-1].span.stop else Reason.GAP


def _union(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    return sorted([*one, *other])


def _configure(
    workspace: Workspace, scope: Scope, unit: Unit, app: App | None, segment: Segment | None
) -> ConfiguredSeries:
    key = SeriesKey(scope, unit, app.id if app else None, segment.id if segment else None)
    series = Series(workspace.name, key, app.name if app else None, segment.name if segment else None)
    # Its own date wins over the inherited one; where app and segment both have one, both must hold.
    starts = [member.start for member in (app, segment) if member and member.start]
    ends = [member.end for member in (app, segment) if member and member.end]
    return ConfiguredSeries(series, max(starts) if starts else workspace.start, min(ends) if ends else workspace.end)


def _members(workspace: Workspace, scope: Scope) -> Iterator[tuple[App | None, Segment | None]]:
    segments = sorted(workspace.segments, key=_by_id) if scope.has_segment else (None,)
    for app in sorted(workspace.apps, key=_by_id) if scope.has_app else (None,):
        for segment in segments:
            restricted = app is not None and segment is not None and app.segments is not None
            if not restricted or (app and segment and segment.name in (app.segments or ())):
                yield app, segment


def _by_id(member: App | Segment) -> str:
    return member.id
