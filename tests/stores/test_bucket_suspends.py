from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from collector.clock import SystemClock
from collector.lake.stores import store_factory
from tests.processes.test_suspended_runs import BROKEN_CHAINS, WRONG_ROWS
from tests.stores.bucket_site import BucketSite
from tests.stores.proxy import PASS, through_proxy
from tests.support.builders import NOW
from tests.support.suspending_store import ClockAhead, SuspendingStore, collect

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.store import Store
    from collector.summary import Summary
    from tests.stores.place import Place

STRIDE = int(os.environ.get("STRIDE", "8"))
"""Every STRIDE-th step is tried."""
MOST_STEPS = 120


class Suspension:
    """A first run; then a run that is suspended while a day passes and another run lands it."""

    def __init__(self, folder: Path, place: Place) -> None:
        defaults: dict[str, Any] = {"start": "2026-11-01", "units": ["day"], "lookback": {"day": 40, "hour": 0}}
        self.site = BucketSite(folder, place, {"name": "acme"}, **defaults)
        self.other: list[Summary] = []
        self.landed: dict[str, str] = {}

    def run(self, store: Store) -> Summary:
        """The second run, whose store calls `meanwhile` at some step."""
        config = self.site.night.settings()
        stores = store_factory(config.lake, config.storage)
        assert collect(config, NOW, "first", SystemClock(), stores).exit_code == 0
        self.site.simulation.now = NOW + timedelta(days=1)
        return collect(config, NOW + timedelta(days=1), "suspended", SystemClock(), lambda _: store)

    def meanwhile(self) -> None:
        """Another run, a day later."""
        config = self.site.night.settings()
        stores = store_factory(config.lake, config.storage)
        self.site.simulation.now = NOW + timedelta(days=2)
        self.other.append(collect(config, self.site.simulation.now, "other", ClockAhead(), stores))
        self.landed = self.site.night.fetch_but_runs()

    def check(self, number: int) -> None:
        """The lake is as the other run left it, complete and true, and the next run has nothing to do."""
        site, config = self.site, self.site.night.settings()
        for _ in range(2):
            assert site.night.rows() == site.truth(), f"suspended at step {number}"
            assert site.night.query(BROKEN_CHAINS) == [(0,)]
            assert site.night.query(WRONG_ROWS) == [(0,)]
            stores = store_factory(config.lake, config.storage)
            assert collect(config, site.simulation.now, "after", ClockAhead(), stores).exit_code == 0


def test_a_resumed_run_overwrites_nothing(tmp_path: Path, bucket: Place) -> None:
    """Suspended before some of its steps while another run lands newer counts: once resumed, it changes but `runs`."""
    codes: list[int] = []
    for at in range(1, MOST_STEPS, STRIDE):
        place = bucket.at(f"before-{at}")
        suspension = Suspension(tmp_path / str(at), place)
        with suspension.site.served():
            summary = suspension.run(SuspendingStore(place.store(), at, suspension.meanwhile))
            if not suspension.other:
                break
            codes.append(summary.exit_code)
            if suspension.other[0].exit_code == 0:
                assert suspension.site.night.fetch_but_runs() == suspension.landed
                suspension.check(at)
    assert set(codes) == {0, 4}, Counter(codes)
    assert codes.count(4) >= len(codes) / 2


@pytest.mark.parametrize("at", range(1, 9))
def test_a_run_suspended_between_lock_check_and_put_overwrites_nothing(tmp_path: Path, bucket: Place, at: int) -> None:
    """Suspended after its check of the lock and before the put arrives: what it puts is refused, or deleted again."""
    suspension = Suspension(tmp_path, bucket)
    puts = count(1)

    def fate(_: int, path: str) -> str:
        if "lock.json" not in path and next(puts) == at:
            suspension.meanwhile()
        return PASS

    with through_proxy(bucket, fate) as (place, _), suspension.site.served():
        summary = suspension.run(place.store())
        assert suspension.other or at > 4, "a run makes more puts than that"
        if suspension.other:
            assert summary.exit_code in (0, 4)  # 0: the other run has landed the same data, from this one's journal
            assert suspension.site.night.fetch_but_runs() == suspension.landed
        suspension.check(at)
