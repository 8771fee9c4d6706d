"""What a run requests: wanted minus covered, plus the lookback. Pure.

In: a workspace's config, its coverage, the instant that counts as now. Out: windows, each series' newest first, all
series of one span together. Nothing here reads the lake or the clock, and only closed buckets are ever requested.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from collector.buckets import end_of_closed, span_of_dates, start_of
from collector.coverage import Coverage, CoveredSpan, CoveredSpans, answered_spans, missing_spans, pack, stale_spans
from collector.metrics import DEFAULT_METRICS, SHARED, Metric, QuotaGroup
from collector.model import Reason, Scope, Series, SeriesKey, Span, Unit
from collector.windows import SpanGroup, Windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from collector.config.settings import App, Segment, Workspace
    from collector.windows import Turn


class ConfiguredSeries(NamedTuple):
    """A series that the config names, with its first and last wanted local dates, both included (None: open)."""

    series: Series
    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line narrows a plan to: apps, segments, metrics by name (empty: all), and dates to read again.

    The dates are both included.
    """

    apps: frozenset[str] = frozenset()
    first: date | None = None
    last: date | None = None
    segments: frozenset[str] = frozenset()
    metrics: frozenset[str] = frozenset()

    def has(self, series: Series) -> bool:
        """Whether the series is of the named apps, segments and metrics."""
        return (
            (not self.apps or series.app in self.apps)
            and (not self.segments or series.segment in self.segments)
            and (not self.metrics or series.key.metric in self.metrics)
        )

    @property
    def forced(self) -> bool:
        """Whether dates are read again whatever their coverage."""
        return self.first is not None or self.last is not None


ALL = Selection()


def configured_series(workspace: Workspace) -> Iterator[ConfiguredSeries]:
    """Every series that the config names: by metric (in the config's order), event, scope, app_id, segment_id, unit.

    Within a table, that is the order of the lake's rows. Answers come in about this order, so a landing, which goes
    through the rows in order, reads each entry of its journal about once.
    """
    return (
        _configure(workspace, metric, event, scope, unit, app, segment)
        for metric, units_of_scope in _units_by_scope(workspace)
        for event in (sorted(workspace.events) if metric.has_events else (None,))
        for scope, units in units_of_scope.items()
        for app, segment in _members(workspace, scope)
        for unit in units
    )


def wanted_span(configured: ConfiguredSeries, workspace: Workspace, covered: CoveredSpans, now: datetime) -> Span:
    """The closed buckets that the config wants of a series.

    Without a `start`: from the first covered bucket, or the first of the lookback, whichever is older. Coverage that
    was voided counts, or a data file that was lost would take its buckets from what is wanted.
    """
    unit, zone = configured.series.unit, workspace.timezone
    dates = span_of_dates(unit, configured.start, configured.end, zone)
    closed = end_of_closed(unit, now, workspace.settle, zone)
    # Without a `start`, everything after the first covered bucket is wanted: a gap between an old answer and the
    # lookback is closed. With one, coverage does not matter.
    first = dates.first
    if configured.start is None:
        first = closed - workspace.lookback[unit]
        if covered:
            first = min(first, covered[0].span.first)
    # Empty where `start` is in the future, or `end` is before the lookback: then nothing is missing and nothing is
    # stale.
    return Span(first, min(dates.stop, closed))


def plan(workspace: Workspace, coverage: Coverage, now: datetime, selection: Selection = ALL) -> Windows:
    """The windows to request.

    Each series' newest window comes first, then each one's second newest. Among equals, windows with a bucket that was
    never answered come first, then those whose answers are oldest: whatever limits a run, the newest buckets come
    first, and series take turns.
    """
    groups: dict[tuple[Turn, Span], SpanGroup] = {}
    places = {choice.name: place for place, choice in enumerate(workspace.metrics)}
    # Thousands of series share a handful of dates and coverages, and what is planned follows from these alone: it is
    # worked out once for each such set, and the series are then only listed.
    planned: dict[object, list[tuple[SpanGroup, Reason]]] = {}
    for configured in configured_series(workspace):
        series = configured.series
        if not selection.has(series):
            continue
        covered = coverage.get(series.key, ())
        same = (series.key.metric, series.unit, configured.start, configured.end, covered)
        if same not in planned:
            # Sets that differ may share a turn and a span. They share the group too, so that all series of a span are
            # requested one after another: their answers have the same times, which the decoder recognizes at once.
            planned[same] = []
            for age, (span, reason) in enumerate(_windows_of(configured, workspace, covered, now, selection)):
                turn = _turn(workspace, series, age, span, covered, places)
                planned[same].append((groups.setdefault((turn, span), SpanGroup(turn, span)), reason))
        for group, reason in planned[same]:
            group.series.append(series)
            group.reasons.append(reason)
    return Windows(groups.values())


def nightly_requests(workspace: Workspace, now: datetime, selection: Selection = ALL) -> int:
    """The windows of a night with nothing missing: a day after a run at `now` that was answered completely."""
    # Series that have metric, unit and dates in common have as many windows: each such set is worked out once.
    alike: defaultdict[object, list[ConfiguredSeries]] = defaultdict(list)
    for configured in configured_series(workspace):
        key = configured.series.key
        if selection.has(configured.series):
            alike[key.metric, key.unit, configured.start, configured.end].append(configured)
    return sum(len(same) * _nightly_windows(same[0], workspace, now) for same in alike.values())


def _nightly_windows(configured: ConfiguredSeries, workspace: Workspace, now: datetime) -> int:
    wanted = wanted_span(configured, workspace, (), now)
    covered = (CoveredSpan(wanted, now),) if wanted else ()
    return sum(1 for _ in _windows_of(configured, workspace, covered, now + timedelta(days=1), ALL))


def allowance(workspace: Workspace, quota: QuotaGroup = SHARED) -> int:
    """The requests that may be sent in an hour, without the reserve."""
    limit = workspace.rate_limit
    return max(1, int((quota.per_hour or limit.per_hour) * (1 - limit.reserve)))


def estimated_seconds(workspace: Workspace, requests: int, quota: QuotaGroup = SHARED) -> float:
    """How long these requests take at the permitted rate, with the waits for the quota's next hours; no latency."""
    limit, per_hour = workspace.rate_limit, allowance(workspace, quota)
    # The last hour's requests do not wait for its end: exactly `per_hour` requests need no refill of the quota.
    full_hours = max(0, requests - 1) // per_hour
    return full_hours * 3600 + (requests - full_hours * per_hour) / limit.per_second


def _turn(
    workspace: Workspace, series: Series, age: int, span: Span, covered: CoveredSpans, places: Mapping[str, int]
) -> Turn:
    """When a window is requested, among all windows of all workspaces. `age`: its place among its series' windows."""
    unit, answered = series.unit, answered_spans(covered)
    times = [each.answered_at.timestamp() for each in answered if each.answered_at and each.span & span]
    # Instants, not bucket numbers: days and hours, and days of different zones, must compare. Negated, so that an
    # ascending sort gives the newest first.
    first, stop = (start_of(unit, bucket, workspace.timezone).timestamp() for bucket in (span.first, span.stop))
    complete = not missing_spans(span, answered)
    return age, complete, min(times, default=-math.inf), places[series.key.metric], -stop, -first, unit


def _windows_of(
    configured: ConfiguredSeries, workspace: Workspace, covered: CoveredSpans, now: datetime, selection: Selection
) -> Iterator[tuple[Span, Reason]]:
    """The windows of a series: their spans, each with the reason for it."""
    unit = configured.series.unit
    if selection.forced:
        forced = _forced_span(configured, workspace, now, selection)
        return ((span, Reason.FORCED) for span in pack([forced] if forced else []))
    wanted = wanted_span(configured, workspace, covered, now)
    covered = answered_spans(covered)
    holes = missing_spans(wanted, covered)
    # The lookback never reaches before `start`. What of it is not covered is a hole already; what was answered less
    # than `refresh_after` ago is left alone, so that a second run in the same night requests nothing. What is older
    # than the lookback, and was last answered when it was young, is read again, too: nights were missed.
    stale = stale_spans(wanted, _lookback(workspace, unit, now), covered, now - workspace.refresh_after)
    # Holes are not covered and stale buckets are, so the two do not overlap: sorted together they are disjoint, as
    # `pack` requires. A window may hold parts of both.
    return ((span, _reason(span, holes, covered)) for span in pack(sorted([*holes, *stale])))


def _forced_span(configured: ConfiguredSeries, workspace: Workspace, now: datetime, selection: Selection) -> Span:
    """The closed buckets of `--from` to `--to` that lie within the series' own dates."""
    unit, zone = configured.series.unit, workspace.timezone
    selected = span_of_dates(unit, selection.first, selection.last, zone)
    span = selected & span_of_dates(unit, configured.start, configured.end, zone)
    # Only the upper end is cut here: there is no oldest closed bucket.
    return span & Span(span.first, end_of_closed(unit, now, workspace.settle, zone))


def _lookback(workspace: Workspace, unit: Unit, now: datetime) -> Span:
    closed = end_of_closed(unit, now, workspace.settle, workspace.timezone)
    return Span(closed - workspace.lookback[unit], closed)


def _reason(window: Span, holes: Sequence[Span], covered: CoveredSpans) -> Reason:
    """The first reason, in the order of `Reason`, that holds for any bucket of the window."""
    # `holes` is sorted, so the last missing bucket decides. Past the newest covered bucket it is new, and NEW comes
    # before GAP; otherwise all that is missing lies between or before covered buckets.
    missing = [hole & window for hole in holes if hole & window]
    if not missing:
        return Reason.LOOKBACK
    return Reason.NEW if not covered or missing[-1].stop > covered[-1].span.stop else Reason.GAP


def _units_by_scope(workspace: Workspace) -> Iterator[tuple[Metric, dict[Scope, list[Unit]]]]:
    """What is wanted of each metric."""
    for metric, tables in groupby(workspace.wanted_tables(), key=itemgetter(0)):
        units: dict[Scope, list[Unit]] = {}
        for _, scope, unit in tables:
            units.setdefault(scope, []).append(unit)
        yield metric, units


def _configure(
    workspace: Workspace,
    metric: Metric,
    event: str | None,
    scope: Scope,
    unit: Unit,
    app: App | None,
    segment: Segment | None,
) -> ConfiguredSeries:
    key = SeriesKey(metric.name, scope, unit, app.id if app else None, segment.id if segment else None, event)
    counted = "" if metric.name in DEFAULT_METRICS else metric.name if event is None else f"{metric.name} {event!r}"
    series = Series(workspace.name, key, app.name if app else None, segment.name if segment else None, counted)
    # Its own date wins over the inherited one; where app and segment both have one, both must hold.
    starts = [member.start for member in (app, segment) if member and member.start]
    ends = [member.end for member in (app, segment) if member and member.end]
    return ConfiguredSeries(series, max(starts) if starts else workspace.start, min(ends) if ends else workspace.end)


def _members(workspace: Workspace, scope: Scope) -> Iterator[tuple[App | None, Segment | None]]:
    segments = sorted(workspace.segments, key=_by_id) if scope.has_segment else (None,)
    for app in sorted(workspace.apps, key=_by_id) if scope.has_app else (None,):
        for segment in segments:
            # An app without a list of segments has all segments of the workspace; one with a list has only those. The
            # ids are sorted because the rows of the lake are.
            restricted = app is not None and segment is not None and app.segments is not None
            if not restricted or (app and segment and segment.name in (app.segments or ())):
                yield app, segment


def _by_id(member: App | Segment) -> str:
    return member.id
