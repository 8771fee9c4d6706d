from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from collector.simulator.options import LateOptions, Options
from tests.builders import NOW
from tests.processes.test_waking_up import BROKEN_LINKS
from tests.stores.bucket_night import BucketSite

if TYPE_CHECKING:
    from tests.stores.place import Place

DOOMED = Path(__file__).parent / "doomed.py"
MOST_EFFECTS = 40
STRIDE = int(os.environ.get("STRIDE", "2"))
"""Every STRIDE-th effect is tried."""
REVISIONS_WITHOUT_A_RESTATEMENT = """
    SELECT (SELECT sum(revision) FROM {sessions_app_daily}) + (SELECT sum(revision) FROM {sessions_app_hourly})
        - (SELECT count(*) FROM {restatements})"""


def run_killed(site: BucketSite, number: int, when: str) -> int:
    """A run that is killed at that effect; its exit code."""
    arguments = ["--config", str(site.night.config), "run", "--as-of", site.simulation.now.isoformat()]
    environ = {**os.environ, **site.night.environ}
    command = [sys.executable, str(DOOMED), str(number), when, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, check=False, timeout=120).returncode


def check_readable(site: BucketSite) -> None:
    """Every file of the tables is a complete Parquet file."""
    for path in site.night.fetch():
        if path.endswith(".parquet"):
            pq.ParquetFile(site.night.lake / path, page_checksum_verification=True).read()


def test_killed_at_every_effect_the_lake_is_readable_and_converges(tmp_path: Path, bucket: Place) -> None:
    """Killed before the first put, then after each put or delete, a day apart: the next run lands all data."""
    defaults: dict[str, Any] = {"lookback": {"day": 5, "hour": 96}, "start": "2026-11-15"}
    site = BucketSite(tmp_path, bucket, {"name": "acme"}, options=Options(late=LateOptions(days=3)), **defaults)
    killed = 0
    with site.served():
        assert site.night.run(NOW).exit_code == 0
        for number in range(0, MOST_EFFECTS, STRIDE):
            site.simulation.now += timedelta(days=1)
            code = run_killed(site, max(number, 1), "after" if number else "before")
            check_readable(site)
            after = site.night.run(site.simulation.now)
            assert after.exit_code == 0, after.stderr
            assert site.night.rows() == site.truth(), f"killed at effect {number}"
            assert site.night.query(BROKEN_LINKS) == [(0,)]
            assert site.night.query(REVISIONS_WITHOUT_A_RESTATEMENT) == [(0,)]
            if code == 0:
                break
            assert code == -signal.SIGKILL
            killed += 1
    assert killed >= 8 / STRIDE
    assert code == 0, "the run has more effects than were tried"
