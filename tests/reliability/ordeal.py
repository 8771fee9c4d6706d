"""An ordeal: one lake that runs die on, the stand-in that they ask, and the ledger that knows what must be there."""

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
from tests.night import Night, make_document, make_segments
from tests.reliability.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from collector.config.settings import Workspace
    from tests.night import Outcome

MONTHS_END = datetime(2026, 10, 31, 6, tzinfo=UTC)
"""A Saturday night in New York: the next one is of another month, and its day has 25 hours."""

START = "2026-10-03"
"""Before the lookback, so that each month holds what a night does not ask for again."""
OLD = datetime(1970, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
DOOMED = Path(__file__).with_name("doomed.py")

Bucket = tuple[SeriesKey, int]


LASTING = ("create", "write", "fsync", "rename", "remove", "mkdir")
"""The effects that change a lake; `read` is the other."""

MANY_LANDINGS: Mapping[str, float] = {"flush_points": 400, "land_bytes": 5_000}


@dataclass(frozen=True)
class Plan:
    """What is to happen to a doomed process.

    `at`: the step, counted among the `effects`, that it dies at or that fails (0: none). `blow`: the errno it fails
    with; 0: SIGKILL. `after`: killed from outside, so many seconds after it was ready. `bounds`: of the recorder.
    """

    at: int = 0
    blow: int = 0
    effects: tuple[str, ...] = LASTING
    after: float | None = None
    bounds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """How it ended: exit code (-9: killed), what it said, and the steps it came to."""

    exit_code: int
    stderr: str
    steps: list[str]

    @property
    def killed(self) -> bool:
        """Whether it died before its end."""
        return self.exit_code == -signal.SIGKILL


class Mother:
    """A process that has loaded the collector, and has a child for each run. Use as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(DOOMED)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def __enter__(self) -> Mother:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, ordeal: Ordeal, plan: Plan) -> End:
        """A run as of the ordeal's instant, to its end or its death."""
        night, (trace, said) = ordeal.night, (ordeal.night.folder / name for name in ("trace", "said"))
        trace.unlink(missing_ok=True)
        arguments = ["--config", str(night.config), "run", "--json", "--as-of", ordeal.now.isoformat()]
        place = {"lake": str(night.lake), "trace": str(trace), "said": str(said)}
        order = {**asdict(plan), **place, "environ": night.environ, "arguments": arguments}
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps(order).encode() + b"\n")
        child = int(stdout.readline())
        if not select.select([stdout], [], [], plan.after if plan.after is not None else 60)[0]:
            with suppress(ProcessLookupError):  # it has come to its end just now
                os.kill(child, signal.SIGKILL)
        exit_code = int(stdout.readline())
        return End(exit_code, said.read_text(), trace.read_text().splitlines() if trace.exists() else [])


class Ordeal:
    """A workspace of one app and one segment, by day and by hour, across a month's end and a turn of the clocks."""

    def __init__(
        self, folder: Path, seed: int = 0, latency_ms: tuple[float, float] = (0.0, 0.0), **defaults: Any
    ) -> None:
        workspace = {"name": "acme", "timezone": "America/New_York", "segments": make_segments(1)}
        document = make_document("http://127.0.0.1:1", workspace, **{"start": START, "refresh_after": "6h", **defaults})
        self.night = Night(folder, document)
        self.now = MONTHS_END
        self.workspace: Workspace = self.night.settings().workspaces[0]
        self.simulation = Simulation([self.workspace], Options(seed=seed, latency_ms=latency_ms), now=self.now)
        self.ledger = Ledger(self)
        self.killed = 0
        """How many runs died so far."""
        self._as_of: dict[str, datetime] = {}
        self._mother: Mother | None = None

    @contextmanager
    def served(self) -> Iterator[Ordeal]:
        """Serve the stand-in until the block is left."""
        with running(self.simulation) as url, ExitStack() as self._while_served:
            self.night.document["workspaces"][0]["endpoint"] = url
            self.night.write()
            self.ledger.note(self.now)
            yield self
            self._mother = None

    def wait(self, **time: float) -> None:
        """Let the API's clock go on: sessions come late."""
        self.now += timedelta(**time)
        self.simulation.now = self.now
        self.ledger.note(self.now)

    def change(self, chance: Random, buckets: int = 12) -> None:
        """Let the API tell other counts of some days and hours of the last week, a moment later."""
        for declared in configured_series(self.workspace):
            key = declared.series.key
            seconds = 3600 if key.unit is Unit.HOUR else 86400
            chosen = [self.now - timedelta(days=chance.uniform(1, 7)) for _ in range(buckets)]
            counts = {int(when.timestamp()) // seconds: chance.randrange(100_000) for when in chosen}
            self.simulation.restate("acme", key, counts)
        self.wait(seconds=1)

    def run(self) -> Outcome:
        """A run that nothing happens to."""
        with self._asking_for_nothing_known():
            return self.night.run(self.now)

    def run_doomed(self, plan: Plan) -> End:
        """A run in a process of its own that dies, or whose disk fails."""
        if self._mother is None:
            self._mother = self._while_served.enter_context(Mother())
        with self._asking_for_nothing_known():
            end = self._mother.run(self, plan)
        self.killed += end.killed
        return end

    def check_whole(self, converged: bool = False) -> None:
        """What must hold between runs: all reads, all is true, each restatement told once; the API's state reached."""
        rows = self.ledger.check_readable()
        self.ledger.check_told_once(rows)
        if converged:
            self.ledger.check_converged(rows, self.now)

    @contextmanager
    def _asking_for_nothing_known(self) -> Iterator[None]:
        """Each request holds a bucket that neither journal nor lake had an answer for, or whose answer is stale."""
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
        """Whether nobody has its answer, or the one that is there is old and may have changed."""
        if bucket not in answered:
            return True
        unit, workspace = bucket[0].unit, self.workspace
        lookback = end_of_closed(unit, self.now, workspace.settle, workspace.timezone) - workspace.lookback[unit]
        return bucket[1] >= lookback and answered[bucket] <= self.now - workspace.refresh_after

    def _answered(self) -> dict[Bucket, datetime]:
        """When each bucket was last answered, as journal and log tell it, whichever has it."""
        found: dict[Bucket, datetime] = {}
        for run_id, rows in self._outcomes():
            for row in rows:
                series = SeriesKey(Scope(row["scope"]), Unit(row["unit"]), row["app_id"], row["segment_id"])
                for bucket in _span(row, series.unit, self.workspace) if row["status"] == "ok" else ():
                    found[series, bucket] = max(self._as_of[run_id], found.get((series, bucket), OLD))
        return found

    def _run_ids(self) -> set[str]:
        return {run_id for run_id, _ in self._outcomes()}

    def _outcomes(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The files of journal and log: the run's id, and a row a window."""
        for folder in ("_collector/acme/journal", "collection_log"):
            for file in (self.night.lake / folder).rglob("*.parquet"):
                landing = file.parent.name if folder.endswith("journal") else file.stem
                yield landing.rpartition("-")[0], pq.ParquetFile(file).read().to_pylist()


def _window(ordeal: Ordeal, parameters: dict[str, str]) -> tuple[Bucket, ...]:
    simulation = ordeal.simulation
    question = parse_query(parameters, simulation.workspace("acme"), ordeal.now, simulation.options.boundary)
    assert isinstance(question, SeriesQuery), parameters
    return tuple((question.key, bucket) for bucket in range(question.span.first, question.span.stop))


def _span(row: dict[str, Any], unit: Unit, workspace: Workspace) -> range:
    if "first" in row:
        return range(row["first"], row["stop"])
    first, stop = row["window_start"], row["window_end"]
    if unit is Unit.HOUR:
        return range(int(first.timestamp()) // 3600, int(stop.timestamp()) // 3600)
    return range(*(day_number(instant.astimezone(workspace.timezone).date()) for instant in (first, stop)))
