from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config.settings import App, RateLimit
from collector.coverage import CoveredSpan, CoveredSpans, pack
from collector.model import MAX_WINDOW, Reason, Scope, SeriesKey, Span, Unit, Window
from collector.plan import Selection, configured_series, estimated_seconds, nightly_requests, plan, wanted_span
from collector.windows import limit_requests
from tests.support.builders import NOW, days, make_segment, make_series, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

FRESH = NOW - timedelta(hours=1)
OLD = NOW - timedelta(days=1)
KEY = make_series().key


def planned(windows: Iterable[Window]) -> list[tuple[Span, Reason]]:
    return [(window.span, window.reason) for window in windows]


def test_a_first_run_requests_all_closed_days_since_the_start() -> None:
    """With nothing covered, everything wanted is new, and the open day is not requested."""
    assert planned(plan(make_workspace(), {}, NOW)) == [(days("2026-11-01", "2026-11-22"), Reason.NEW)]


def test_a_run_just_after_another_has_nothing_to_do() -> None:
    """A window answered more recently than `refresh_after` is not requested again."""
    coverage = {KEY: (CoveredSpan(days("2026-11-01", "2026-11-22"), FRESH),)}
    assert not plan(make_workspace(), coverage, NOW)


def test_the_next_night_requests_the_new_day_and_the_lookback_in_one_request() -> None:
    """Last night's lookback and the new day share a window, whose reason is the new day's."""
    coverage = {KEY: (CoveredSpan(days("2026-11-01", "2026-11-21"), OLD),)}
    assert planned(plan(make_workspace(), coverage, NOW)) == [(days("2026-11-09", "2026-11-22"), Reason.NEW)]


def test_the_lookback_never_reaches_before_the_start() -> None:
    """With a start within the lookback, the days before it are not read again."""
    coverage = {KEY: (CoveredSpan(days("2026-11-01", "2026-11-22"), OLD),)}
    workspace = make_workspace(start=date(2026, 11, 20))
    assert planned(plan(workspace, coverage, NOW)) == [(days("2026-11-20", "2026-11-22"), Reason.LOOKBACK)]


def test_a_lookback_of_0_reads_nothing_again() -> None:
    """Without a lookback, only what is missing is requested."""
    workspace = make_workspace(lookback={Unit.DAY: 0, Unit.HOUR: 0})
    coverage = {KEY: (CoveredSpan(days("2026-11-01", "2026-11-21"), OLD),)}
    assert planned(plan(workspace, coverage, NOW)) == [(days("2026-11-22", "2026-11-22"), Reason.NEW)]


def test_a_hole_and_an_earlier_start_are_gaps() -> None:
    """What is wanted, not covered and older than some coverage is a gap."""
    coverage = {
        KEY: (CoveredSpan(days("2026-10-10", "2026-10-12"), OLD), CoveredSpan(days("2026-10-15", "2026-11-22"), FRESH))
    }
    workspace = make_workspace(start=date(2026, 10, 1))
    assert planned(plan(workspace, coverage, NOW)) == [(days("2026-10-01", "2026-10-14"), Reason.GAP)]


def test_without_a_start_the_lookback_is_wanted_and_later_what_was_ever_covered() -> None:
    """No start: wanted from the lookback's first bucket, or from the first covered one where that is older."""
    workspace = make_workspace(start=None)
    assert planned(plan(workspace, {}, NOW)) == [(days("2026-11-09", "2026-11-22"), Reason.NEW)]
    coverage = {
        KEY: (CoveredSpan(days("2026-10-01", "2026-10-02"), OLD), CoveredSpan(days("2026-10-05", "2026-11-22"), FRESH))
    }
    assert planned(plan(workspace, coverage, NOW)) == [(days("2026-10-03", "2026-10-04"), Reason.GAP)]


def test_a_retired_app_costs_nothing_once_it_is_covered() -> None:
    """Nothing after an app's end is wanted, and the lookback is of the newest closed days, not of the app's last."""
    workspace = make_workspace(apps=(App("ios", "id-ios", end=date(2026, 11, 5)),))
    assert planned(plan(workspace, {}, NOW)) == [(days("2026-11-01", "2026-11-05"), Reason.NEW)]
    assert not plan(workspace, {KEY: (CoveredSpan(days("2026-11-01", "2026-11-05"), OLD),)}, NOW)


def test_a_forced_span_alone_is_read_whatever_its_coverage() -> None:
    """--from and --to read that span again and nothing else."""
    coverage = {KEY: (CoveredSpan(days("2026-11-01", "2026-11-20"), FRESH),)}
    selection = Selection(first=date(2026, 11, 3), last=date(2026, 11, 4))
    assert planned(plan(make_workspace(), coverage, NOW, selection)) == [
        (days("2026-11-03", "2026-11-04"), Reason.FORCED)
    ]


def test_a_forced_span_stays_within_what_is_declared_and_closed() -> None:
    """A forced span ends with the newest closed day and begins no earlier than the start."""
    selection = Selection(first=date(2026, 10, 1), last=date(2026, 12, 31))
    assert planned(plan(make_workspace(), {}, NOW, selection)) == [(days("2026-11-01", "2026-11-22"), Reason.FORCED)]


def test_an_hour_is_wanted_from_the_first_whole_one_after_local_midnight() -> None:
    """Hours begin with the start's local midnight and end with the newest closed hour."""
    workspace = make_workspace(units=(Unit.HOUR,), start=date(2026, 11, 23))
    (window,) = plan(workspace, {}, NOW)
    assert window.span == Span(
        days("2026-11-23", "2026-11-23").first * 24, days("2026-11-23", "2026-11-23").first * 24 + 5
    )


def test_windows_come_newest_first_with_all_series_of_a_span_together() -> None:
    """The newest span of every series is requested before an older one of any, series in the order of the rows."""
    apps = (App("ios", "id-ios"), App("android", "id-android"))
    windows = list(plan(make_workspace(apps=apps, start=date(2026, 1, 1)), {}, NOW))
    spans = [window.span for window in windows]
    assert spans == sorted(spans, reverse=True)
    assert [window.series.app for window in windows[:2]] == ["android", "ios"]


def test_scopes_and_restricted_apps_make_the_series() -> None:
    """An app with `segments: []` has no series by segment; one with a list has just those."""
    workspace = make_workspace(
        apps=(App("ios", "id-ios"), App("web", "id-web", segments=()), App("tv", "id-tv", segments=("vip",))),
        segments=(make_segment("vip"), make_segment("new")),
        scopes=tuple(Scope),
    )
    found = {(declared.series.app, declared.series.segment) for declared in configured_series(workspace)}
    with_apps = {("ios", None), ("web", None), ("tv", None), ("ios", "vip"), ("ios", "new"), ("tv", "vip")}
    assert found == with_apps | {(None, None), (None, "vip"), (None, "new")}


@pytest.mark.parametrize(
    ("app_start", "segment_start", "expected"),
    [(None, None, 1), (5, None, 5), (None, 7, 7), (5, 7, 7), (7, 5, 7)],
)
def test_a_series_starts_when_its_app_and_its_segment_do(
    app_start: int | None, segment_start: int | None, expected: int
) -> None:
    """An own start wins over the inherited one; where app and segment both have one, the later holds."""

    def day(number: int | None) -> date | None:
        return date(2026, 11, number) if number else None

    workspace = make_workspace(
        apps=(App("ios", "id-ios", start=day(app_start)),),
        segments=(make_segment("vip", start=day(segment_start)),),
        scopes=(Scope.APP_SEGMENT,),
    )
    (declared,) = configured_series(workspace)
    assert declared.start == date(2026, 11, expected)


def test_an_app_selection_has_the_series_of_that_app_alone() -> None:
    """--app plans that app's series and none of the workspace's own."""
    workspace = make_workspace(apps=(App("ios", "id-ios"), App("web", "id-web")), scopes=(Scope.APP, Scope.WORKSPACE))
    windows = plan(workspace, {}, NOW, Selection(frozenset({"web"})))
    assert {window.series.key for window in windows} == {SeriesKey("sessions", Scope.APP, Unit.DAY, "id-web", None)}


def test_a_bound_takes_the_newest_windows_of_all_workspaces() -> None:
    """--max-requests keeps the newest windows of all workspaces."""
    here = make_workspace(start=date(2026, 1, 1))
    there = replace(here, name="globex")
    plans = [plan(here, {}, NOW), plan(there, {}, NOW)]
    kept = limit_requests(plans, 3)
    assert [len(windows) for windows, _ in kept] == [2, 1]
    assert [[*windows, *beyond] for windows, beyond in kept] == [list(windows) for windows in plans]


def test_series_take_turns() -> None:
    """The newest window of each series first; of these, one that was never answered, then the oldest answer."""
    apps = tuple(App(name, f"id-{name}") for name in ("fresh", "never", "old"))
    workspace = make_workspace(apps=apps, start=date(2026, 5, 1))
    all_days = days("2026-05-01", "2026-11-21")

    def answered(hours_ago: int) -> CoveredSpans:
        return (CoveredSpan(all_days, NOW - timedelta(hours=hours_ago)),)

    keys = {app.name: SeriesKey("sessions", Scope.APP, Unit.DAY, app.id, None) for app in apps}
    windows = list(plan(workspace, {keys["fresh"]: answered(7), keys["old"]: answered(70)}, NOW))
    # Each has a new day, so all have a bucket that was never answered; `never` has no answer at all.
    assert [window.series.app for window in windows] == ["never", "old", "fresh", "never", "never"]
    assert [window.span.stop for window in windows[:3]] == [all_days.stop + 1] * 3


@pytest.mark.parametrize("lookback", [0, 5, 14])
def test_a_night_with_nothing_missing_costs_what_is_foretold(lookback: int) -> None:
    """`nightly_requests` is the number of windows of the next night, if the last one was answered completely."""
    apps = (App("ios", "id-ios"), App("web", "id-web", end=date(2026, 10, 1)), App("new", "id-new", start=NOW.date()))
    workspace = make_workspace(
        apps=apps, units=(Unit.DAY, Unit.HOUR), lookback={Unit.DAY: lookback, Unit.HOUR: 24 * lookback}
    )
    coverage = {
        each.series.key: (CoveredSpan(span, NOW),)
        for each in configured_series(workspace)
        if (span := wanted_span(each, workspace, (), NOW))
    }
    tomorrow = plan(workspace, coverage, NOW + timedelta(days=1))
    assert nightly_requests(workspace, NOW) == len(tomorrow)


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 250)), max_size=12)


@given(SPANS)
def test_windows_hold_every_bucket_and_are_as_few_as_can_be(pieces: list[tuple[int, int]]) -> None:
    """Packed windows are newest first, disjoint, at most 100 long, hold each bucket, and no fewer would do."""
    spans, position = [], 0
    for skip, length in pieces:
        spans.append(Span(position + skip + 1, position + skip + 1 + length))
        position = spans[-1].stop
    windows = pack(spans)
    assert all(1 <= len(window) <= MAX_WINDOW for window in windows)
    assert all(newer.first >= older.stop for newer, older in itertools.pairwise(windows))
    buckets = [bucket for span in spans for bucket in range(span.first, span.stop)]
    assert all(any(bucket in window for window in windows) for bucket in buckets)
    fewest, reach = 0, None
    for bucket in reversed(buckets):
        if reach is None or bucket <= reach:
            fewest, reach = fewest + 1, bucket - MAX_WINDOW
    assert len(windows) == fewest


def test_a_plan_above_the_quota_takes_further_hours() -> None:
    """The estimate is the rate while the quota lasts, plus an hour for each full quota before the last."""
    workspace = make_workspace(rate_limit=RateLimit(per_hour=1000, reserve=0.2, per_second=100))
    assert estimated_seconds(workspace, 0) == 0
    assert estimated_seconds(workspace, 800) == pytest.approx(8)
    assert estimated_seconds(workspace, 801) == pytest.approx(3600.01)
