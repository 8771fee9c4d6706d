from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from collector.simulator.options import LateOptions, Options
from tests.processes.test_suspended_runs import BROKEN_CHAINS
from tests.stores.bucket_site import BucketSite
from tests.support.builders import NOW
from tests.support.crash_test import CrashPlan, CrashServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.place import Place

MOST_EFFECTS = 40
STRIDE = int(os.environ.get("STRIDE", "2"))
"""Every so manieth effect is tried."""
EVERY_REVISION_IS_TOLD = """
    SELECT (SELECT sum(revision) FROM {sessions_app_daily}) + (SELECT sum(revision) FROM {sessions_app_hourly})
        - (SELECT count(*) FROM {restatements})"""


def check_readable(site: BucketSite) -> None:
    """Every file in the tables is a complete Parquet file."""
    for path in site.night.fetch():
        if path.endswith(".parquet"):
            pq.ParquetFile(site.night.lake / path, page_checksum_verification=True).read()


def test_killed_at_every_effect_the_lake_is_readable_and_converges(tmp_path: Path, bucket: Place) -> None:
    """Killed before the first put, then after one put or delete after another, a day apart: the next run lands all."""
    lately: dict[str, Any] = {"lookback": {"day": 5, "hour": 96}, "start": "2026-11-15"}
    site = BucketSite(tmp_path, bucket, {"name": "acme"}, options=Options(late=LateOptions(days=3)), **lately)
    killed = 0
    with site.served(), CrashServer() as server:
        assert site.night.run(NOW).exit_code == 0
        for number in range(0, MOST_EFFECTS, STRIDE):
            site.simulation.now += timedelta(days=1)
            plan = CrashPlan(at=max(number, 1), effects=("put", "delete"), done_first=number > 0)
            code = server.run(site.night, site.simulation.now, plan).exit_code
            check_readable(site)
            after = site.night.run(site.simulation.now)
            assert after.exit_code == 0, after.stderr
            assert site.night.rows() == site.truth(), f"killed at effect {number}"
            assert site.night.query(BROKEN_CHAINS) == [(0,)]
            assert site.night.query(EVERY_REVISION_IS_TOLD) == [(0,)]
            if code == 0:
                break
            assert code == -signal.SIGKILL
            killed += 1
    assert killed >= 8 / STRIDE
    assert code == 0, "it has more effects than were tried"
