"""What is waited for before anything happens: `--help`, `validate`, and the plan of 10,000 series."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from scripts.bench import collector_runs, machine
from scripts.bench.figures import Figure, keep, table
from scripts.bench.processes import measure
from scripts.bench.workload import AS_OF, ENVIRONMENT, UNBOUND, config

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from scripts.bench.processes import Cost


def main(arguments: argparse.Namespace) -> None:
    """Measure each in turn, print and keep."""
    started = machine.load()
    folder = machine.WORK / "runs" / "startup"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    keys = f"start: 2023-11-23, scopes: [app_segment], rate_limit: {UNBOUND}"
    big = config(folder, "http://127.0.0.1:9", keys, 100, 50)
    planned = collector_runs.counted(["scripts.bench.planning", str(big)])
    commands = _commands(folder, big)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            costs[name].append(measure(command, folder, ENVIRONMENT))
    seconds = {name: Figure(tuple(cost.seconds for cost in some)) for name, some in costs.items()}
    cpu = {name: Figure(tuple(cost.cpu_seconds for cost in some)) for name, some in costs.items()}
    figures = {name: {"seconds": seconds[name].values, "cpu_seconds": cpu[name].values} for name in commands}
    keep("startup", {"load_at_the_start": started, "planned": planned, "figures": figures})
    rows = [[name, seconds[name].text(3), cpu[name].text(3)] for name in commands]
    print(table(["command", "seconds", "CPU s"], rows))
    print(f"\nplanning alone: {planned['series']:,} series, {planned['windows']:,} windows: {planned['seconds']:.2f} s")


def _commands(folder: Path, big: Path) -> dict[str, list[str]]:
    small = folder / "small"
    small.mkdir()
    twenty = config(small, "http://127.0.0.1:9", "start: 2026-10-01", 10, 10)
    return {
        "collector --help": collector_runs.collector(big, "--help"),
        "collector validate, 20 apps and segments": collector_runs.collector(twenty, "validate"),
        "collector plan, 10,000 series, three years covered": collector_runs.collector(
            big, "plan", "--as-of", f"{AS_OF:%Y-%m-%dT%H:%M:%SZ}", "--json"
        ),
    }
