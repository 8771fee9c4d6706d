"""The collector as its users start it, measured: a run, what it says of itself, and what is in the lake after it."""

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
    """A command line."""
    return [sys.executable, "-m", "collector", "--config", str(config), *arguments]


def run(
    config: Path,
    as_of: str = f"{AS_OF:%Y-%m-%dT%H:%M:%SZ}",
    probe: Callable[[], int] | None = None,
    program: Sequence[str] = ("collector",),
) -> tuple[Cost, dict[str, Any]]:
    """A nightly run: what it cost, and its `--json`. Ends the bench where the run does not end with 0."""
    command = [sys.executable, "-m", *program, "--config", str(config), "run", "--as-of", as_of, "--json"]
    cost = measure(command, config.parent, ENVIRONMENT, probe)
    told: dict[str, Any] = json.loads(Path(cost.output).read_text())
    return cost, told


def landed(lake: Path, pattern: str = "sessions_*/**/*.parquet") -> dict[str, int]:
    """Rows, files and bytes of a lake's tables."""
    return counted(["scripts.bench.rows", str(lake), pattern])


def counted(module: Sequence[str]) -> dict[str, Any]:
    """What a module prints that needs pyarrow, and so runs as a process of its own: the bench stays small."""
    answer = subprocess.run([sys.executable, "-m", *module], cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        sys.exit(answer.stderr)
    told: dict[str, Any] = json.loads(answer.stdout)
    return told


def expect(what: str, found: int, wanted: int) -> None:
    """End the bench where something is missing: a figure for half of the work is none."""
    if found != wanted:
        sys.exit(f"{what}: {found:,} and not {wanted:,}")
