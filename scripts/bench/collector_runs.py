"""Runs the collector as users start it: what a run costs, its `--json` report, and what the lake then holds."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.machine import ROOT
from scripts.bench.processes import Cost, measure
from scripts.bench.workload import AS_OF, ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout of this program. `python`: the interpreter of its own environment, in which it is installed."""

    name: str
    python: str

    def command(self, config: Path, *arguments: str) -> list[str]:
        """The command line of its collector. `-P`: what is imported is what is installed, wherever the bench runs."""
        return [self.python, "-P", "-m", "collector", "--config", str(config), *arguments]


def checkouts(against: Path | None) -> list[Checkout]:
    """The other checkout to measure, where there is one, and then this one."""
    this = Checkout("this", sys.executable)
    if against is None:
        return [this]
    python = against / ".venv" / "bin" / "python"
    if not python.exists():
        sys.exit(f"{python} does not exist: run `make setup` in {against}")
    return [Checkout("before", str(python.absolute())), this]


def utc(instant: datetime) -> str:
    """As options have it."""
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


LATEST = utc(AS_OF)
"""The instant at which runs begin unless they say otherwise."""


def collector(config: Path, *arguments: str) -> list[str]:
    """The command line of the collector."""
    return [sys.executable, "-m", "collector", "--config", str(config), *arguments]


def run(
    config: Path,
    as_of: str = LATEST,
    probe: Callable[[int], int] | None = None,
    program: Sequence[str] = ("collector",),
) -> tuple[Cost, dict[str, Any]]:
    """A nightly run: its cost and its `--json` report. Ends the bench if the exit code is not 0."""
    command = [sys.executable, "-m", *program, "--config", str(config), "run", "--as-of", as_of, "--json"]
    cost = measure(command, config.parent, ENVIRONMENT, probe)
    return cost, report_of(cost)


def report_of(cost: Cost) -> dict[str, Any]:
    """What `run --json` printed."""
    report: dict[str, Any] = json.loads(Path(cost.output).read_text())
    return report


def landed(lake: Path, pattern: str = "sessions_*/**/*.parquet") -> dict[str, int]:
    """Rows, files and bytes of a lake's tables."""
    return counted(["scripts.bench.counts", "files", str(lake), pattern])


def landings(lake: Path) -> int:
    """How many landings wrote the data files of a lake."""
    return int(counted(["scripts.bench.counts", "landings", str(lake)])["landings"])


def counted(module: Sequence[str]) -> dict[str, Any]:
    """The JSON that a module prints. Modules that need pyarrow run as separate processes, so the bench stays small."""
    answer = subprocess.run([sys.executable, "-m", *module], cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        sys.exit(answer.stderr)
    report: dict[str, Any] = json.loads(answer.stdout)
    return report


def expect(what: str, found: int, wanted: int) -> None:
    """End the bench if something is missing: a figure for incomplete work is worthless."""
    if found != wanted:
        sys.exit(f"{what}: expected {wanted:,}, found {found:,}")
