"""The programs that `throughput` compares: the bare loop, the collector, the peers.

Each run is checked for completeness; an incomplete run ends the bench. Peers run in environments under `.bench/envs/`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from scripts.bench import collector_runs
from scripts.bench.machine import WORK
from scripts.bench.processes import Cost, measure
from scripts.bench.workload import ENVIRONMENT, POINTS, one_window_each

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one program. `own_seconds`: the time that it reports without start-up; None if it reports none."""

    cost: Cost
    own_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A program to compare. `run` takes a URL and a number of requests, and returns the cost."""

    name: str
    does: str
    run: Callable[[str, int], Measured]


def bare(rate: int | None = None) -> Program:
    """The bare loop: as fast as possible, which is the limit, or at a rate of requests per second."""
    pace = [] if rate is None else [str(rate)]

    def run(url: str, requests: int) -> Measured:
        cost = _run_peer(Path(sys.executable), "bare", url, requests, *pace)
        report = json.loads(Path(cost.output).read_text())
        collector_runs.expect("rows of the bare loop", report["rows"], requests * POINTS)
        return Measured(cost, report["seconds"])

    return Program("bare aiohttp loop", "reads, parses, drops", run)


def this() -> Program:
    """The collector's `run`: rows landed, coverage and log committed."""

    def run(url: str, requests: int) -> Measured:
        folder = _folder("collector")
        cost, report = collector_runs.run(one_window_each(folder, url, requests))
        collector_runs.expect("rows landed", collector_runs.landed(folder / "lake")["rows"], requests * POINTS)
        collector_runs.expect("series covered", _covered(folder / "lake"), requests)
        return Measured(cost, report["duration_seconds"])

    return Program("this collector", "rows, coverage and log in Parquet", run)


def _covered(lake: Path) -> int:
    """Series with coverage. Each has a few rows."""
    series = ["metric", "scope", "unit", "app_id", "segment_id"]
    (file,) = (lake / "coverage").rglob("*.parquet")
    rows = pq.read_table(file, columns=series, partitioning=None)
    return int(rows.group_by(series).aggregate([]).num_rows)


def peers() -> list[Program]:
    """The peers that could be installed."""
    known = [
        ("plain", "plain", "requests and pandas", "one Parquet file", "rows.parquet"),
        ("singer", "singer_tap", "singer-sdk", "records to stdout", ""),
        ("dlt", "dlt_rest_api", "dlt rest_api", "Parquet, parallelized", "rows/sessions/sessions/*.parquet"),
        ("airbyte", "airbyte_declarative", "airbyte-cdk", "records to stdout", ""),
    ]
    return [
        _peer(python, program, name, does, pattern)
        for environment, program, name, does, pattern in known
        if (python := _environment(environment)) is not None
    ]


def _peer(python: Path, program: str, name: str, does: str, pattern: str) -> Program:
    def run(url: str, requests: int) -> Measured:
        cost = _run_peer(python, program, url, requests)
        folder = Path(cost.output).parent
        rows = collector_runs.landed(folder, pattern)["rows"] if pattern else _records(Path(cost.output))
        collector_runs.expect(f"rows of {name}", rows, requests * POINTS)
        return Measured(cost)

    return Program(name, does, run)


def _run_peer(python: Path, program: str, url: str, requests: int, *arguments: str) -> Cost:
    folder = _folder(program)
    file = PEERS / f"{program}.py"
    return measure([str(python), str(file), url, str(requests), str(folder), *arguments], folder, ENVIRONMENT)


def _records(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if b'"RECORD"' in line[:40])


def _folder(name: str) -> Path:
    folder = WORK / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _environment(name: str) -> Path | None:
    """The interpreter with the packages of `peers/NAME.txt`, installed once; None, with a message, if that fails."""
    folder, pins = WORK / "envs" / name, PEERS / f"{name}.txt"
    python, stamp = folder / "bin" / "python", folder / "pins.txt"
    if stamp.exists() and stamp.read_text() == pins.read_text():
        return python
    print(f"installing {pins.read_text().strip().replace(chr(10), ', ')} into .bench/envs/{name} …", flush=True)
    venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "install", "--requirement", str(pins)], check=False).returncode:
        print(f"skipped: {name} could not be installed", flush=True)
        return None
    stamp.write_text(pins.read_text())
    return python
