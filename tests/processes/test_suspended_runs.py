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
"""Every so manieth step is tried; 1 takes a third of a minute."""
BROKEN_LINKS = """
    SELECT count(*) FROM (
        SELECT *, lag(new_sessions) OVER told AS had, lag(collected_at) OVER told AS since,
            row_number() OVER told AS place
        FROM {restatements}
        WINDOW told AS (PARTITION BY scope, unit, app_id, segment_id, bucket_start ORDER BY revision, collected_at)
    ) WHERE revision <> place OR old_sessions <> had OR previous_collected_at <> since"""
LAST_TOLD = """
    SELECT count(*) FROM {sessions_app_daily} row LEFT JOIN (
        SELECT app_id, date, count(*) AS told, arg_max(new_sessions, revision) AS last FROM {restatements}
        WHERE scope = 'app' GROUP BY ALL
    ) USING (app_id, date) WHERE revision <> coalesce(told, 0) OR sessions <> coalesce(last, sessions)"""


@dataclass
class Nap:
    """What came of a run that slept before one of its steps, and of the one that took over meanwhile."""

    site: Site
    steps: int = 0
    sleeper: Summary | None = None
    other: list[Summary] = field(default_factory=list)
    landed: dict[str, bytes] = field(default_factory=dict)

    def take(self, at: int) -> None:
        """Fall asleep; meanwhile a day goes by, its sessions arrive, and another run lands them."""
        config, site = self.site.night.settings(), self.site
        site.simulation.now = NOW + timedelta(days=1)

        def meanwhile() -> None:
            site.simulation.now = NOW + timedelta(days=2)
            self.other.append(collect(config, site.simulation.now, "other", ClockAhead(), stores_of(config)))
            self.landed = published(site)

        store = SuspendingStore(open_store(config.lake, "acme"), at, meanwhile)
        self.sleeper = collect(config, NOW + timedelta(days=1), "sleeper", SystemClock(), lambda _: store)
        self.steps = store.steps


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A lake in which a first night has landed, and a copy of it beside, to begin from again."""
    segments: list[dict[str, Any]] = [{"name": "vip", "id": "id-vip"}]
    night: dict[str, Any] = {"start": "2026-10-25", "units": ["day"], "lookback": {"day": 40, "hour": 0}}
    site = Site(tmp_path_factory.mktemp("naps"), {"name": "acme", "segments": segments}, **night)
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


def test_a_run_that_wakes_up_at_any_step_changes_nothing(site: Site) -> None:
    """Asleep before each step in turn while another run lands newer counts: when it wakes up, not a byte changes."""
    codes: list[int] = []
    for at in range(1, MOST_STEPS, STRIDE):
        nap = Nap(fresh(site))
        nap.take(at)
        if not nap.other:
            break
        assert nap.sleeper is not None
        codes.append(nap.sleeper.exit_code)
        check(nap)
    print(f"\nasleep at {len(codes)} of {at} steps, each ended with 0 or 4: {Counter(codes)}")  # noqa: T201
    assert codes.count(4) > len(codes) / 2
    assert set(codes) == {0, 4}


def published(site: Site) -> dict[str, bytes]:
    """All but what is staged, which the next run sweeps away."""
    return {path: content for path, content in site.night.bytes().items() if "/staging/" not in path}


def check(nap: Nap) -> None:
    """The lake is the other run's, whole and true; the next run has nothing to do."""
    site = nap.site
    assert [summary.exit_code for summary in nap.other] in ([0], [4]), nap.other
    if nap.other[0].exit_code == 0:
        assert published(site) == nap.landed
        assert site.night.rows() == site.truth()
        assert site.night.query(BROKEN_LINKS) == [(0,)]
        assert site.night.query(LAST_TOLD) == [(0,)]
    config = site.night.settings()
    after = collect(config, site.simulation.now, "after", ClockAhead(), stores_of(config))
    assert after.exit_code == 0
    assert published(site) == site.night.bytes()
    assert site.night.rows() == site.truth()
