"""A data file that was removed from outside, and a run that crashes while it lands part of what the file held."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from collector.config.settings import App, Config, Workspace
from collector.environment import RunOptions
from collector.simulator.options import Options
from collector.simulator.simulation import Simulation
from tests.simulation.memory_store import Disk
from tests.simulation.one_run import OneRun, RunResult, SimulatedClock, perform
from tests.simulation.simulated_braze import GOOD_NETWORK, SimulatedBraze
from tests.simulation.simulated_process import SimulatedProcess
from tests.support.builders import make_workspace

_AT = datetime(2026, 11, 20, 3, tzinfo=UTC)
_FILE = "sessions_app_daily/workspace=acme/month=2026-11-01/data.parquet"
_APPS = (App("ios", "id-ios"), App("web", "id-web"))


def test_removed_file_and_death() -> None:
    """At whichever effect it crashes, the next run fetches the rest: coverage has no bucket without its row."""
    workspace = make_workspace(apps=_APPS, start=date(2026, 11, 1))
    for effect in range(1, 100):
        disk = Disk(published=lambda path, content: None)  # noqa: ARG005
        rows = _night(disk, workspace, 0).rows()
        del disk.files[_FILE]
        dying = _night(disk, workspace, 1, SimulatedProcess(kill_at=effect), max_requests=1)
        assert _night(disk, workspace, 2).rows() >= rows, f"killed at effect {effect}"
        if not dying.result.killed:
            return
    raise AssertionError("the run never ended")


class _Night:
    """A run that ended, and the disk that it left."""

    def __init__(self, disk: Disk, result: RunResult) -> None:
        self._disk, self.result = disk, result

    def rows(self) -> set[tuple[object, object]]:
        """The keys that landed."""
        table = pq.ParquetFile(pa.BufferReader(self._disk.files[_FILE].content)).read()
        return set(zip(table["app_id"].to_pylist(), table["date"].to_pylist(), strict=True))


def _night(
    disk: Disk,
    workspace: Workspace,
    number: int,
    process: SimulatedProcess | None = None,
    max_requests: int | None = None,
) -> _Night:
    at = _AT + timedelta(days=number)
    clock = SimulatedClock(at)
    simulation = Simulation([workspace], Options(), clock=clock)
    options = RunOptions(f"{at:%Y%m%dT%H%M%SZ}-{number:06x}", at, max_requests=max_requests)
    one_run = OneRun(Config("memory", (workspace,)), options, at, process or SimulatedProcess())
    braze = SimulatedBraze(simulation, one_run.process, GOOD_NETWORK, Random(number))  # noqa: S311 - chance, no secrets
    return _Night(disk, perform(one_run, disk, braze, clock))
