"""A crash test: one lake, the runs that die on it, the stand-in, and the ledger of what the lake must hold."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from collector.buckets import day_number, end_of_closed
from collector.model import Scope, SeriesKey, Unit
from collector.plan import configured_series
from collector.simulator.answers import SeriesQuery, parse_query
from collector.simulator.options import Options
from collector.simulator.server import running
from collector.simulator.simulation import Simulation
from tests.support.ledger import Ledger
from tests.support.night import Night, make_document, make_segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from collector.config.settings import Workspace
    from tests.support.night import Outcome

MONTHS_END = datetime(2026, 10, 31, 6, tzinfo=UTC)
"""A Saturday night in New York: the next one is in another month, and its day has 25 hours."""

START = "2026-10-03"
"""Before the lookback, so that each month has buckets that a night does not request again."""
OLD = datetime(1970, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
CRASHING_PROCESS = Path(__file__).with_name("crashing_process.py")

Bucket = tuple[SeriesKey, int]

WRITE_EFFECTS = ("create", "write", "fsync", "rename", "remove", "mkdir")
"""The effects that change a lake on disk."""

SMALL_LIMITS: Mapping[str, float] = {"flush_points": 400, "land_bytes": 5_000}
"""Recorder limits with which a small run flushes and lands many times."""


@dataclass(frozen=True)
class CrashPlan:
    """Where and how a process crashes.

    `at`: the number of the step, counted among the `effects`, at which it crashes; 0: none. `errno`: the error with
    which that step fails; 0: SIGKILL instead. `done_first`: an object's put or delete is done before the kill.
    `after`: seconds after its start at which it is killed from outside. `limits`: of the recorder.
    """

    at: int = 0
    errno: int = 0
    done_first: bool = False
    effects: tuple[str, ...] = WRITE_EFFECTS
    after: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CrashResult:
    """How a process ended: exit code (-9: killed), stderr, and the steps it reached."""

    exit_code: int
    stderr: str
    steps: list[str]

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.exit_code == -signal.SIGKILL


class CrashServer:
    """A process that has loaded the collector, and forks a child for each run. Use as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(CRASHING_PROCESS)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def __enter__(self) -> CrashServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, night: Night, as_of: datetime, plan: CrashPlan) -> CrashResult:
        """Run the nightly job until it ends or is killed."""
        trace, stderr = (night.folder / name for name in ("trace", "stderr"))
        for file in (trace, stderr):  # of the process before
            file.write_text("")
        arguments = ["--config", str(night.config), "run", "--json", "--as-of", as_of.isoformat()]
        files = {"lake": str(night.lake), "trace": str(trace), "stderr": str(stderr)}
        order = {**asdict(plan), **files, "environ": {**os.environ, **night.environ}, "arguments": arguments}
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps(order).encode() + b"\n")
        child = int(stdout.readline())
        if not select.select([stdout], [], [], plan.after if plan.after is not None else 60)[0]:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(child, signal.SIGKILL)
        exit_code = int(stdout.readline())
        return CrashResult(exit_code, stderr.read_text(), trace.read_text().splitlines())


class CrashTest:
    """A workspace of one app and one segment, by day and by hour, across a month's end and a change of the clocks."""

    def __init__(
        self, folder: Path, seed: int = 0, latency_ms: tuple[float, float] = (0.0, 0.0), **defaults: Any
    ) -> None:
        workspace = {"name": "acme", "timezone": "America/New_York", "segments": make_segments(1)}
        document = make_document("http://127.0.0.1:1", workspace, **{"start": START, "refresh_after": "6h", **defaults})
        self.night = Night(folder, document)
        self.now = MONTHS_END
        self.workspace: Workspace = self.night.settings().workspaces[0]
        self.simulation = Simulation([self.workspace], Options(seed=seed, latency_ms=latency_ms), now=self.now)
        self.ledger = Ledger(self.night, self.simulation, self.workspace)
        self.killed = 0
        """How many runs have been killed so far."""
        self._as_of: dict[str, datetime] = {}
        self._server: CrashServer | None = None

    @contextmanager
    def served(self) -> Iterator[CrashTest]:
        """Serve the stand-in until the end of the block."""
        with running(self.simulation) as url, ExitStack() as self._while_served:
            self.night.document["workspaces"][0]["endpoint"] = url
            self.night.write()
            self.ledger.record(self.now)
            yield self
            self._server = None

    def wait(self, **time: float) -> None:
        """Advance the API's clock: late sessions arrive."""
        self.now += timedelta(**time)
        self.simulation.now = self.now
        self.ledger.record(self.now)

    def change(self, chance: Random, buckets: int = 12) -> None:
        """Change the API's counts of some days and hours of the last week, and advance its clock by a second."""
        for declared in configured_series(self.workspace):
            key = declared.series.key
            seconds = 3600 if key.unit is Unit.HOUR else 86400
            chosen = [self.now - timedelta(days=chance.uniform(1, 7)) for _ in range(buckets)]
            counts = {int(when.timestamp()) // seconds: chance.randrange(100_000) for when in chosen}
            self.simulation.restate("acme", key, counts)
        self.wait(seconds=1)

    def run(self) -> Outcome:
        """A run in this process, without a crash."""
        with self._no_needless_request():
            return self.night.run(self.now)

    def run_crashing(self, plan: CrashPlan) -> CrashResult:
        """A run in a process of its own that is killed, or whose disk fails."""
        if self._server is None:
            self._server = self._while_served.enter_context(CrashServer())
        with self._no_needless_request():
            end = self._server.run(self.night, self.now, plan)
        self.killed += end.killed
        return end

    def check_lake(self, converged: bool = False) -> None:
        """Check that every table is readable, every count is the API's, and each restatement is there once.

        `converged`: also that the lake equals the API's present state.
        """
        rows = self.ledger.check_readable()
        self.ledger.check_restatements(rows)
        if converged:
            self.ledger.check_converged(rows, self.now)

    @contextmanager
    def _no_needless_request(self) -> Iterator[None]:
        """Each request has a bucket without an answer in journal and lake, or with a stale one; none is sent twice."""
        answered = self._answered()
        self.simulation.request_log.clear()
        yield
        windows = [_window(self, dict(asked.parameters)) for asked in self.simulation.request_log.entries]
        for window in windows:
            assert any(self._is_due(bucket, answered) for bucket in window), f"{window[0]} to {window[-1]} again"
        assert len(windows) == len(set(windows))
        for run_id in self._run_ids():
            self._as_of.setdefault(run_id, self.now)

    def _is_due(self, bucket: Bucket, answered: Mapping[Bucket, datetime]) -> bool:
        """Whether there is no answer for the bucket, or a stale one within the lookback."""
        if bucket not in answered:
            return True
        unit, workspace = bucket[0].unit, self.workspace
        lookback = end_of_closed(unit, self.now, workspace.settle, workspace.timezone) - workspace.lookback[unit]
        return bucket[1] >= lookback and answered[bucket] <= self.now - workspace.refresh_after

    def _answered(self) -> dict[Bucket, datetime]:
        """The `as_of` of each bucket's last answer, from the journal and the log."""
        found: dict[Bucket, datetime] = {}
        for run_id, rows in self._outcomes():
            for row in rows:
                series = SeriesKey("sessions", Scope(row["scope"]), Unit(row["unit"]), row["app_id"], row["segment_id"])
                for bucket in _span(row, series.unit, self.workspace) if row["status"] == "ok" else ():
                    found[series, bucket] = max(self._as_of[run_id], found.get((series, bucket), OLD))
        return found

    def _run_ids(self) -> set[str]:
        return {run_id for run_id, _ in self._outcomes()}

    def _outcomes(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The runs of journal and log, each with one row for each window."""
        for file in (self.night.lake / "_collector/acme/journal").rglob("*.parquet"):
            yield file.parent.name.rpartition("-")[0], pq.ParquetFile(file).read().to_pylist()
        for file in (self.night.lake / "collection_log").rglob("*.parquet"):
            rows = pq.ParquetFile(file).read().to_pylist()
            for run_id in {row["run_id"] for row in rows}:
                yield run_id, [row for row in rows if row["run_id"] == run_id]


def _window(crash_test: CrashTest, parameters: dict[str, str]) -> tuple[Bucket, ...]:
    simulation = crash_test.simulation
    question = parse_query(parameters, simulation.workspace("acme"), crash_test.now, simulation.options.boundary)
    assert isinstance(question, SeriesQuery), parameters
    return tuple((question.key, bucket) for bucket in range(question.span.first, question.span.stop))


def _span(row: dict[str, Any], unit: Unit, workspace: Workspace) -> range:
    if "first" in row:
        return range(row["first"], row["stop"])
    first, stop = row["window_start"], row["window_end"]
    if unit is Unit.HOUR:
        return range(int(first.timestamp()) // 3600, int(stop.timestamp()) // 3600)
    return range(*(day_number(instant.astimezone(workspace.timezone).date()) for instant in (first, stop)))
