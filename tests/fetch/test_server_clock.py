from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from collector.api.client import ApiClient
from collector.api.transport import Response
from collector.fetch.fetcher import FetchResources, WorkspaceFetcher
from collector.fetch.stop import StopRequest
from collector.model import Answered, Failed, Outcome, Skipped
from collector.testing import FakeTransport
from tests.support.virtual import START, FreeThrottle, VirtualClock, body_for, make_windows, make_workspace, run

if TYPE_CHECKING:
    from random import Random

    from collector.api.request import Request

NEWEST_END = datetime.fromtimestamp(498_010 * 3600, UTC)
"""When the newest of `make_windows` ends."""


class NoChance:
    """A random source for tests in which nothing waits."""

    def random(self) -> float:
        return 0.0


def fetch(
    clock: datetime, server: datetime, *, as_of: datetime | None = None, age: str | None = None, count: int = 20
) -> list[Outcome]:
    """The outcomes of windows, where this machine's clock and the server's say this."""

    def answer(request: Request) -> Response:
        headers = {"date": format_datetime(server, usegmt=True), "x-ratelimit-remaining": "900000"}
        return Response(200, headers | ({"age": age} if age else {}), body_for(request))

    async def main() -> list[Outcome]:
        outcomes: list[Outcome] = []

        async def record(outcome: Outcome) -> None:
            outcomes.append(outcome)

        workspace, here, chance = make_workspace(), VirtualClock(clock), NoChance()
        api = ApiClient(workspace, FakeTransport(answer), here)
        rng: Random = chance  # type: ignore[assignment]
        resources = FetchResources(FreeThrottle(), asyncio.Semaphore(100), here, rng, StopRequest())
        fetcher = WorkspaceFetcher(workspace, api, resources, as_of or clock, as_of_given=as_of is not None)
        await fetcher.collect(make_windows(count), record)
        return outcomes

    return run(main)


def test_the_last_date_of_the_calendar_is_a_date() -> None:
    """A `Date` at the end of the year 9999 stops the workspace, and is no bug."""
    outcomes = fetch(START, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), count=1)
    assert [type(outcome) for outcome in outcomes] == [Failed]
    assert isinstance(fetch(START, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), as_of=START, count=1)[0], Answered)


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(hours=-2), timedelta(days=365)])
def test_a_clock_that_is_off_by_more_than_an_hour_stops_the_workspace(ahead: timedelta) -> None:
    """Nothing is recorded as answered, one request is made, and the message has both instants."""
    outcomes = fetch(START + ahead, START)
    assert [type(outcome) for outcome in outcomes].count(Failed) == 1
    assert [type(outcome) for outcome in outcomes].count(Skipped) == 19
    errors = {outcome.error for outcome in outcomes if not isinstance(outcome, Answered)}
    for error in errors:
        assert f"clock says {START + ahead:%Y-%m-%dT%H:%M:%SZ}, the server's says {START:%Y-%m-%dT%H:%M:%SZ}" in error


def test_a_clock_within_the_hour_is_noted_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """Half an hour behind: one warning, and all is answered."""
    outcomes = fetch(START - timedelta(minutes=30), START)
    assert all(isinstance(outcome, Answered) for outcome in outcomes)
    assert [record.message for record in caplog.records] == [
        "acme: this machine's clock is 1800 s behind the server's: set it, or buckets are requested at the wrong time"
    ]


def test_with_as_of_this_machine_s_clock_does_not_matter() -> None:
    """`--as-of` says what is closed, so a clock that is a year ahead stops nothing."""
    outcomes = fetch(START + timedelta(days=365), START, as_of=START)
    assert all(isinstance(outcome, Answered) for outcome in outcomes)


def test_a_window_that_ends_after_the_server_s_date_fails_alone() -> None:
    """A bucket that has not ended by the server's clock fails its window, in one request; the older ones are answered.

    The message says by how much as_of is ahead, and many such windows do not stop the workspace.
    """
    server = NEWEST_END - timedelta(seconds=3)
    outcomes = fetch(server, server, as_of=server + timedelta(days=365), count=200)
    by_end: dict[bool, list[Outcome]] = {True: [], False: []}
    for outcome in outcomes:
        by_end[outcome.window.span.stop == 498_010].append(outcome)
    assert [type(outcome) for outcome in by_end[True]] == [Failed] * 5
    assert all(isinstance(outcome, Answered) for outcome in by_end[False])
    for outcome in by_end[True]:
        assert isinstance(outcome, Failed)
        assert "is 365 days, 0:00:00 ahead" in outcome.error
        assert (outcome.attempts, outcome.http_status, outcome.quota_remaining) == (1, 200, 900_000)


def test_two_seconds_are_no_time_and_age_is_ignored() -> None:
    """An answer whose `Date` is two seconds before the end of the window counts, with or without an `Age`."""
    server = NEWEST_END - timedelta(seconds=2)
    for age in (None, "86400"):
        assert all(isinstance(outcome, Answered) for outcome in fetch(server, server, age=age))


def test_many_windows_ahead_do_not_stop_the_workspace() -> None:
    """Twenty windows in a row that end after the `Date`: each fails, none is skipped."""
    server = NEWEST_END - timedelta(hours=100)
    outcomes = fetch(server, server, as_of=NEWEST_END, count=100)
    assert [type(outcome) for outcome in outcomes].count(Skipped) == 0
    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
    assert (len(errors), len(set(errors))) == (50, 1), "one text, which the summary shows once"
