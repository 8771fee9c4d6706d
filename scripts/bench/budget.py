"""Where a request's processor time goes: the same requests up a ladder, each rung one more part of the collector."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.bench import environments, machine
from scripts.bench.figures import Figure, keep, table
from scripts.bench.processes import measure
from scripts.bench.servers import constant
from scripts.bench.workload import ENVIRONMENT, one_window_each

if TYPE_CHECKING:
    import argparse

AS_STARTED = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""What the collector's entry point sets, and a rung is not started by."""

_RUNGS = ("transport", "api", "lane", "run")


def main(arguments: argparse.Namespace) -> None:
    """Climb the ladder a few times, print and keep."""
    began, spent = machine.load(), dict[str, list[float]]()
    with constant(arguments.requests) as server:
        for _ in range(arguments.rounds):
            for name, milliseconds in _round(server.url, arguments.requests).items():
                spent.setdefault(name, []).append(milliseconds)
    keep("budget", {"server": server.name, "load_at_the_start": began, "figures": spent})
    rows = [[name, Figure(tuple(values)).text(4)] for name, values in spent.items()]
    print(table([f"{arguments.requests:,} requests", "processor ms a request"], rows))


def _round(url: str, requests: int) -> dict[str, float]:
    folder = machine.WORK / "runs" / "budget"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bare = [sys.executable, str(environments.PEERS / "bare.py"), url, str(requests), str(folder)]
    told = json.loads(Path(measure(bare, folder, ENVIRONMENT).output).read_text())
    spent = {"bare": 1000 * told["cpu_seconds"] / requests}
    config = one_window_each(folder, url, requests)
    for rung in _RUNGS:
        command = [sys.executable, "-m", "scripts.bench.rungs", rung, str(config)]
        spent |= json.loads(Path(measure(command, folder, {**ENVIRONMENT, **AS_STARTED}).output).read_text())
    return spent
