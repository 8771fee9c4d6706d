"""Where a request's processor time goes: the same requests in stages, each with one more part of the collector."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.bench import machine
from scripts.bench.figures import Figure, keep, table
from scripts.bench.processes import measure
from scripts.bench.programs import PEERS
from scripts.bench.servers import constant
from scripts.bench.workload import ENVIRONMENT, one_window_each

if TYPE_CHECKING:
    import argparse

ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""The setting of the collector's entry point, which does not start a stage."""

_STAGES = ("transport", "api", "fetcher", "run")


def main(arguments: argparse.Namespace) -> None:
    """Measure all stages a few times; print and save the figures."""
    started, spent = machine.load(), dict[str, list[float]]()
    with constant(arguments.requests) as server:
        for _ in range(arguments.rounds):
            for name, milliseconds in _round(server.url, arguments.requests).items():
                spent.setdefault(name, []).append(milliseconds)
    keep("budget", {"server": server.name, "load_at_the_start": started, "figures": spent})
    rows = [[name, Figure(tuple(values)).text(4)] for name, values in spent.items()]
    print(table([f"{arguments.requests:,} requests", "processor ms a request"], rows))


def _round(url: str, requests: int) -> dict[str, float]:
    folder = machine.WORK / "runs" / "budget"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bare = [sys.executable, str(PEERS / "bare.py"), url, str(requests), str(folder)]
    report = json.loads(Path(measure(bare, folder, ENVIRONMENT).output).read_text())
    spent = {"bare": 1000 * report["cpu_seconds"] / requests}
    config = one_window_each(folder, url, requests)
    for stage in _STAGES:
        command = [sys.executable, "-m", "scripts.bench.stages", stage, str(config)]
        spent |= json.loads(Path(measure(command, folder, {**ENVIRONMENT, **ALLOCATOR}).output).read_text())
    return spent
