from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from collector.clock import SystemClock
from collector.lake.objects import Bucket, ObjectStore
from collector.lake.stores import store_factory
from tests.processes.test_suspended_runs import BROKEN_CHAINS, WRONG_ROWS
from tests.stores.bucket_site import BucketSite
from tests.support.builders import NOW
from tests.support.suspending_store import ClockAhead, SuspendingStore, collect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.lake.store import Replacement, Store, Version
    from collector.summary import Summary
    from tests.stores.place import Place

STRIDE = int(os.environ.get("STRIDE", "8"))
"""Every so manieth step is tried."""
MOST_STEPS = 120


class DrowsyPut(ObjectStore):
    """Falls asleep between the look at the lock's file and the put: the one gap that a store of objects leaves."""

    def __init__(self, bucket: Bucket, at: int, meanwhile: Callable[[], None]) -> None:
        super().__init__(bucket)
        self._at, self._meanwhile = at, meanwhile
        self._guarded = False
        self.steps = 0

    def publish(self, replacement: Replacement) -> Version:
        """Only a put that hangs on the lock is meant."""
        self._guarded = replacement.if_locked is not None
        return super().publish(replacement)

    def _put(self, path: str, content: bytes, expected: Version | None) -> Version:
        if self._guarded:
            self.steps += 1
            if self.steps == self._at:
                with ThreadPoolExecutor(1) as elsewhere:
                    elsewhere.submit(self._meanwhile).result()
        return super()._put(path, content, expected)


class Nap:
    """A first night; then a run that sleeps while a day goes by and another run lands it."""

    def __init__(self, folder: Path, place: Place) -> None:
        night: dict[str, Any] = {"start": "2026-11-01", "units": ["day"], "lookback": {"day": 40, "hour": 0}}
        self.site = BucketSite(folder, place, {"name": "acme"}, **night)
        self.other: list[Summary] = []
        self.landed: dict[str, str] = {}

    def take(self, drowsy: Callable[[Callable[[], None]], Store]) -> Summary:
        """`drowsy` makes the store of the run that sleeps, given what happens meanwhile."""
        config = self.site.night.settings()
        stores = store_factory(config.lake, config.storage)
        assert collect(config, NOW, "first", SystemClock(), stores).exit_code == 0
        self.site.simulation.now = NOW + timedelta(days=1)

        def meanwhile() -> None:
            self.site.simulation.now = NOW + timedelta(days=2)
            self.other.append(collect(config, self.site.simulation.now, "other", ClockAhead(), stores))
            self.landed = self.site.night.fetch()

        store = drowsy(meanwhile)
        return collect(config, NOW + timedelta(days=1), "sleeper", SystemClock(), lambda _: store)

    def check(self, number: int) -> None:
        """The lake is the other run's, whole and true, and the next run finds nothing to do."""
        site, config = self.site, self.site.night.settings()
        for _ in range(2):
            assert site.night.rows() == site.truth(), f"asleep at step {number}"
            assert site.night.query(BROKEN_CHAINS) == [(0,)]
            assert site.night.query(WRONG_ROWS) == [(0,)]
            stores = store_factory(config.lake, config.storage)
            assert collect(config, site.simulation.now, "after", ClockAhead(), stores).exit_code == 0


def test_a_run_that_wakes_up_overwrites_nothing(tmp_path: Path, bucket: Place) -> None:
    """Asleep before some of its steps while another run lands newer counts: when it wakes up, no ETag changes."""
    codes: list[int] = []
    for at in range(1, MOST_STEPS, STRIDE):
        nap = Nap(tmp_path / str(at), bucket.at(f"before-{at}"))
        with nap.site.served():
            summary = nap.take(partial(SuspendingStore, nap.site.night.place.store(), at))
            if not nap.other:
                break
            codes.append(summary.exit_code)
            if nap.other[0].exit_code == 0:
                assert nap.site.night.fetch() == nap.landed
                nap.check(at)
    assert set(codes) == {0, 4}, Counter(codes)
    assert codes.count(4) > len(codes) / 2


@pytest.mark.parametrize("at", range(1, 9))
def test_a_run_that_sleeps_between_lock_and_put_overwrites_nothing(tmp_path: Path, bucket: Place, at: int) -> None:
    """Asleep after it has looked at the lock and before it puts: what it puts is refused, or withdrawn."""
    nap = Nap(tmp_path, bucket)
    with nap.site.served():
        place = nap.site.night.place
        config = nap.site.night.settings()
        summary = nap.take(partial(DrowsyPut, Bucket(place.lake, config.storage), at))
        if nap.other:
            assert summary.exit_code in (0, 4)  # 0: the other had landed the same, from this one's journal
            assert nap.site.night.fetch() == nap.landed
        nap.check(at)
