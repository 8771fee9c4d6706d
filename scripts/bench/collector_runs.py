"""Runs the collector as users start it: what a run costs, its `--json` report, and what the lake then holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.machine import ROOT
from scripts.bench.processes import Cost, measure
from scripts.bench.workload import AS_OF, ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def collector(config: Path, *arguments: str) -> list[str]:
    """The command line of the collector."""
    return [sys.executable, "-m", "collector", "--config", str(config), *arguments]


def run(
    config: Path,
    as_of: str = f"{AS_OF:%Y-%m-%dT%H:%M:%SZ}",
    probe: Callable[[], int] | None = None,
    program: Sequence[str] = ("collector",),
) -> tuple[Cost, dict[str, Any]]:
    """A nightly run: its cost and its `--json` report. Ends the bench if the exit code is not 0."""
    command = [sys.executable, "-m", *program, "--config", str(config), "run", "--as-of", as_of, "--json"]
    cost = measure(command, config.parent, ENVIRONMENT, probe)
    report: dict[str, Any] = json.loads(Path(cost.output).read_text())
    return cost, report


def landed(lake: Path, pattern: str = "sessions_*/**/*.parquet") -> dict[str, int]:
    """Rows, files and bytes of a lake's tables."""
    return counted(["scripts.bench.counts", "files", str(lake), pattern])


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
