"""Who is measured in `throughput`: the limit, the collector, the peers. Each does the whole work, or the bench ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.bench import collecting, environments
from scripts.bench.machine import WORK
from scripts.bench.processes import Cost, measure
from scripts.bench.workload import ENVIRONMENT, POINTS, one_window_each

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one contender. `own_seconds`: what it says its work took, without start-up; None if it does not."""

    cost: Cost
    own_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """`run`: URL and number of requests to what it cost."""

    name: str
    does: str
    run: Callable[[str, int], Measured]


def bare(rate: int | None = None) -> Contender:
    """The limit, or the same loop at a pace of so many requests a second."""
    pace = [] if rate is None else [str(rate)]

    def run(url: str, requests: int) -> Measured:
        cost = _program(environments.own(), "bare", url, requests, *pace)
        told = json.loads(Path(cost.output).read_text())
        collecting.expect("rows of the bare loop", told["rows"], requests * POINTS)
        return Measured(cost, told["seconds"])

    return Contender("bare aiohttp loop", "reads, parses, drops", run)


def this() -> Contender:
    """The collector's `run`: rows landed, coverage and log committed."""

    def run(url: str, requests: int) -> Measured:
        folder = _folder("collector")
        cost, told = collecting.run(one_window_each(folder, url, requests))
        collecting.expect("rows landed", collecting.landed(folder / "lake")["rows"], requests * POINTS)
        covered = collecting.landed(folder / "lake", "coverage/**/*.parquet")["rows"]
        collecting.expect("series covered", covered, requests)
        return Measured(cost, told["duration_seconds"])

    return Contender("this collector", "rows, coverage and log in Parquet", run)


def peers() -> list[Contender]:
    """Those that could be installed."""
    known = [
        ("plain", "plain", "requests and pandas", "one Parquet file", "rows.parquet"),
        ("singer", "singer_tap", "singer-sdk", "records to stdout", ""),
        ("dlt", "dlt_rest_api", "dlt rest_api", "Parquet, parallelized", "rows/sessions/sessions/*.parquet"),
        ("airbyte", "airbyte_declarative", "airbyte-cdk", "records to stdout", ""),
    ]
    return [
        _peer(python, program, name, does, pattern)
        for environment, program, name, does, pattern in known
        if (python := environments.ready(environment)) is not None
    ]


def _peer(python: Path, program: str, name: str, does: str, pattern: str) -> Contender:
    def run(url: str, requests: int) -> Measured:
        cost = _program(python, program, url, requests)
        folder = Path(cost.output).parent
        rows = collecting.landed(folder, pattern)["rows"] if pattern else _records(Path(cost.output))
        collecting.expect(f"rows of {name}", rows, requests * POINTS)
        return Measured(cost)

    return Contender(name, does, run)


def _program(python: Path, program: str, url: str, requests: int, *more: str) -> Cost:
    folder = _folder(program)
    file = environments.PEERS / f"{program}.py"
    return measure([str(python), str(file), url, str(requests), str(folder), *more], folder, ENVIRONMENT)


def _records(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if b'"RECORD"' in line[:40])


def _folder(name: str) -> Path:
    folder = WORK / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
