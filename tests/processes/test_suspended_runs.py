from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from collector.clock import SystemClock
from collector.lake.stores import open_store
from tests.support.builders import NOW
from tests.support.site import Site
from tests.support.suspending_store import ClockAhead, SuspendingStore, collect, stores_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.summary import Summary

MOST_STEPS = 120
STRIDE = int(os.environ.get("STRIDE", "5"))
"""Each STRIDE-th step is tried; all of them take about 20 s."""
BROKEN_CHAINS = """
    SELECT count(*) FROM (
        SELECT *, lag(new_value) OVER chain AS expected_old, lag(collected_at) OVER chain AS expected_previous,
            row_number() OVER chain AS expected_revision
        FROM {restatements}
        WINDOW chain AS (PARTITION BY scope, unit, app_id, segment_id, bucket_start ORDER BY revision, collected_at)
    ) WHERE revision <> expected_revision OR old_value <> expected_old
        OR previous_collected_at <> expected_previous"""
"""Counts restatements that do not continue the one before."""
WRONG_ROWS = """
    SELECT count(*) FROM {sessions_app_daily} row LEFT JOIN (
        SELECT app_id, date, count(*) AS revisions, arg_max(new_value, revision) AS last FROM {restatements}
        WHERE scope = 'app' GROUP BY ALL
    ) USING (app_id, date) WHERE revision <> coalesce(revisions, 0) OR sessions <> coalesce(last, sessions)"""
"""Counts rows that are not what their last restatement says."""


@dataclass
class Suspension:
    """The results of a run that was suspended before one of its steps, and of the run that took over meanwhile."""

    site: Site
    steps: int = 0
    suspended: Summary | None = None
    other: list[Summary] = field(default_factory=list)
    landed: dict[str, bytes] = field(default_factory=dict)

    def make(self, at: int) -> None:
        """Suspend a run before step `at`; meanwhile a day passes, its sessions arrive, and another run lands them."""
        config, site = self.site.night.settings(), self.site
        site.simulation.now = NOW + timedelta(days=1)

        def meanwhile() -> None:
            site.simulation.now = NOW + timedelta(days=2)
            self.other.append(collect(config, site.simulation.now, "other", ClockAhead(), stores_of(config)))
            self.landed = published(site)

        store = SuspendingStore(open_store(config.lake, "acme"), at, meanwhile)
        self.suspended = collect(config, NOW + timedelta(days=1), "suspended", SystemClock(), lambda _: store)
        self.steps = store.steps


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A lake with a first night, and a copy of it from which each attempt starts."""
    segments: list[dict[str, Any]] = [{"name": "vip", "id": "id-vip"}]
    night: dict[str, Any] = {"start": "2026-10-25", "units": ["day"], "lookback": {"day": 40, "hour": 0}}
    site = Site(tmp_path_factory.mktemp("suspended"), {"name": "acme", "segments": segments}, **night)
    with site.served():
        config = site.night.settings()
        assert collect(config, NOW, "first", SystemClock(), stores_of(config)).exit_code == 0
        shutil.copytree(site.night.lake, site.night.folder / "first")
        yield site


def fresh(site: Site) -> Site:
    """The lake as the first night left it."""
    site.simulation.now = NOW
    shutil.rmtree(site.night.lake)
    shutil.copytree(site.night.folder / "first", site.night.lake)
    return site


def test_a_run_suspended_at_any_step_changes_nothing(site: Site) -> None:
    """Suspended before each step in turn while another run lands newer counts: when it resumes, no byte changes."""
    codes: list[int] = []
    for at in range(1, MOST_STEPS, STRIDE):
        suspension = Suspension(fresh(site))
        suspension.make(at)
        if not suspension.other:
            break
        assert suspension.suspended is not None
        codes.append(suspension.suspended.exit_code)
        check(suspension)
    print(f"\nsuspended at {len(codes)} of {at} steps, each ended with 0 or 4: {Counter(codes)}")  # noqa: T201
    assert codes.count(4) > len(codes) / 2
    assert set(codes) == {0, 4}


def published(site: Site) -> dict[str, bytes]:
    """All files but the staged ones, which the next run deletes."""
    return {path: content for path, content in site.night.bytes().items() if "/staging/" not in path}


def check(suspension: Suspension) -> None:
    """The lake is the other run's, complete and correct; the next run has nothing to do."""
    site = suspension.site
    assert [summary.exit_code for summary in suspension.other] in ([0], [4]), suspension.other
    if suspension.other[0].exit_code == 0:
        assert published(site) == suspension.landed
        assert site.night.rows() == site.truth()
        assert site.night.query(BROKEN_CHAINS) == [(0,)]
        assert site.night.query(WRONG_ROWS) == [(0,)]
    config = site.night.settings()
    after = collect(config, site.simulation.now, "after", ClockAhead(), stores_of(config))
    assert after.exit_code == 0
    assert published(site) == site.night.bytes()
    assert site.night.rows() == site.truth()
