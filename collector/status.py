"""What is wanted and what is there, of one workspace: wanted against covered, as the plan does. Pure.

In: a workspace's config, its coverage, its last runs and failures, the instant to measure by, and now. Out: values that
`show/status.py` prints. Nothing here reads the lake, a key or the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from collector.buckets import date_of, end_of_closed, span_of_dates, start_of
from collector.coverage import answered_spans, missing_spans
from collector.model import Series, SeriesKey, Span, Unit
from collector.plan import configured_series, wanted_span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date, datetime

    from collector.config.settings import Workspace
    from collector.coverage import Coverage, CoveredSpans
    from collector.plan import ConfiguredSeries

LATEST_NIGHT = timedelta(hours=26)
"""What a last run of this age or less had wanted is what counts; after that, a night is missing."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """A run of a workspace, as the table `runs` has it. One that died has neither end nor exit code."""

    run_id: str
    as_of: datetime
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class History:
    """What the lake says of a workspace's runs.

    `failures`: the error of each series of which the last run did not get an answer. `lock`: the run that holds the
    lock or left it behind, as a sentence; empty where there is none.
    """

    last_run: LastRun | None = None
    last_success_at: datetime | None = None
    failures: Mapping[SeriesKey, str] | None = None
    lock: str = ""


class SeriesStatus(NamedTuple):
    """One series. `covered`: from its first to its newest answered bucket, or None. Counts are buckets."""

    series: Series
    covered: Span | None
    missing: int
    unsettled: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """One workspace.

    `measured_at`: the instant by which it was said what is wanted. `complete_through`: the last local date up to whose
    end all that is wanted is there; None where there is none. `lag_seconds`: the age of the newest answered bucket of
    the series that is furthest behind; None where one has none, or all have ended. `days`: for the strip, the share
    that is there of each of the last dates, oldest first; None where nothing is wanted.
    """

    name: str
    measured_at: datetime
    series: tuple[SeriesStatus, ...]
    complete_through: date | None
    lag_seconds: float | None
    history: History
    days: tuple[float | None, ...] = ()

    @property
    def missing_buckets(self) -> int:
        """Wanted, and not there."""
        return sum(each.missing for each in self.series)

    @property
    def unsettled_buckets(self) -> int:
        """Older than the lookback, and last read when they were young."""
        return sum(each.unsettled for each in self.series)

    @property
    def failing_series(self) -> int:
        """Series whose newest window failed or was skipped in the last run."""
        return sum(each.last_error is not None for each in self.series)

    @property
    def complete(self) -> bool:
        """Whether there has been a run, and all that is wanted is there."""
        return self.history.last_run is not None and not self.missing_buckets

    def is_complete_through(self, day: date) -> bool:
        """Whether all that is wanted up to the end of that local date is there."""
        if self.history.last_run is None:
            return False
        # Where nothing limits it, all series have ended, and nothing is missing.
        return self.complete_through >= day if self.complete_through is not None else not self.missing_buckets


class _Measured(NamedTuple):
    """What series with the same unit, dates and coverage have in common.

    `complete_until`: the first local date of which something is missing or not closed yet; None for a series that has
    ended and is covered. `newest`: the end of its newest answered bucket.
    """

    covered: Span | None
    missing: int
    unsettled: int
    complete_until: date | None
    newest: datetime | None
    holes: tuple[Span, ...]
    wanted: Span
    unit: Unit


def measure(
    workspace: Workspace, coverage: Coverage, history: History, measured_at: datetime, now: datetime, days: int = 0
) -> WorkspaceStatus:
    """The status of a workspace. `days`: how many dates its strip has."""
    # Thousands of series share a handful of dates and coverages: each such set is measured once.
    measured: dict[object, _Measured] = {}
    found, failures = [], history.failures or {}
    for configured in configured_series(workspace):
        key = configured.series.key
        covered = coverage.get(key, ())
        same = (key.unit, configured.start, configured.end, covered)
        if same not in measured:
            measured[same] = _measure(configured, workspace, covered, measured_at)
        one = measured[same]
        error = failures.get(key)
        found.append(SeriesStatus(configured.series, one.covered, one.missing, one.unsettled, error))
    limits = [one.complete_until for one in measured.values() if one.complete_until is not None]
    open_ended = [one.newest for one in measured.values() if one.complete_until is not None and one.wanted]
    newest = [instant for instant in open_ended if instant is not None]
    lag = (now - min(newest)).total_seconds() if newest and len(newest) == len(open_ended) else None
    return WorkspaceStatus(
        workspace.name,
        measured_at,
        tuple(found),
        min(limits) - timedelta(days=1) if limits else None,
        lag,
        history,
        tuple(_strip(measured.values(), workspace, measured_at, days)),
    )


def instant_to_measure_by(history: History, now: datetime) -> datetime:
    """The last run's `as_of`; now where that run began more than 26 hours ago, or there was none."""
    last = history.last_run
    return last.as_of if last is not None and now - last.started_at <= LATEST_NIGHT else now


def _measure(
    configured: ConfiguredSeries, workspace: Workspace, covered: CoveredSpans, measured_at: datetime
) -> _Measured:
    unit, zone = configured.series.unit, workspace.timezone
    wanted = wanted_span(configured, workspace, covered, measured_at)
    answered = answered_spans(covered)
    holes = missing_spans(wanted, answered)
    closed = end_of_closed(unit, measured_at, workspace.settle, zone)
    old = Span(wanted.first, min(wanted.stop, closed - workspace.lookback[unit]))
    unsettled = sum(len(each.span & old) for each in answered if not each.settled) if workspace.lookback[unit] else 0
    if holes:
        until = local_date(unit, holes[0].first, workspace)
    elif wanted.stop >= closed or not wanted:
        until = local_date(unit, closed, workspace)
    else:
        until = None  # it has ended, and all of it is there
    span = Span(answered[0].span.first, answered[-1].span.stop) if answered else None
    newest = start_of(unit, span.stop, zone) if span else None
    return _Measured(span, sum(map(len, holes)), unsettled, until, newest, tuple(holes), wanted, unit)


def local_date(unit: Unit, bucket: int, workspace: Workspace) -> date:
    """The local date of a bucket: an hour is of the date in which it starts."""
    return (
        date_of(bucket)
        if unit is Unit.DAY
        else start_of(unit, bucket, workspace.timezone).astimezone(workspace.timezone).date()
    )


def _strip(
    measured: Collection[_Measured], workspace: Workspace, measured_at: datetime, days: int
) -> Iterator[float | None]:
    """For each of the last dates, oldest first, the share of the sets of series that have all of it."""
    closed = end_of_closed(Unit.DAY, measured_at, workspace.settle, workspace.timezone)
    for day in map(date_of, range(closed - days, closed)):
        spans = {unit: span_of_dates(unit, day, day, workspace.timezone) for unit in Unit}
        wanted = [(one, span) for one in measured if (span := spans[one.unit] & one.wanted)]
        complete = sum(not any(hole & span for hole in one.holes) for one, span in wanted)
        yield complete / len(wanted) if wanted else None
