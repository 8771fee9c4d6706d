"""What a workspace costs: the same windows in one workspace, in a hundred, in a thousand, under 1,024 open files.

Each lake gets two runs: one that lands everything, and the next one, right after it, which finds nothing to do.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from scripts.bench import collector_runs, machine
from scripts.bench.figures import MIB, keep, table
from scripts.bench.processes import Cost, measure
from scripts.bench.servers import stand_in
from scripts.bench.workload import UNBOUND

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.bench.collector_runs import Checkout

OPEN_FILES = 1024
"""Linux's default."""

LANDED, NO_LAKE = 0, 5
"""The exit codes that are figures: 5 where the descriptors were used up."""

_UNITS = 2
"""A series by day and one by hour for each app, each of which is one window."""

HEAD = ["workspaces x windows", "code", "seconds", "CPU s", "CPU ms a workspace", "peak MiB", "open files",
        "nothing to do: seconds", "CPU ms a workspace"]  # fmt: skip


def main(arguments: argparse.Namespace) -> None:
    """Measure each size with each checkout in turn, print and keep."""
    started = machine.load()
    figures = [figure for size in arguments.sizes for figure in _measured(size, arguments.against, arguments.rounds)]
    keep("width", {"load_at_the_start": started, "figures": figures})
    print(table(HEAD, [_row(figure) for figure in figures]))


def _measured(size: str, against: Path | None, rounds: int) -> Iterator[dict[str, Any]]:
    workspaces, windows = (int(number) for number in size.split("x"))
    if windows % _UNITS:
        raise SystemExit(f"{size}: the windows of a workspace are an even number, by day and by hour")
    folder = machine.WORK / "runs" / "width"
    offline = _config(folder / "offline", "http://127.0.0.1:9", workspaces, windows)
    with stand_in(offline, ["--pool", "100000000", "--now", collector_runs.LATEST]) as url:
        for checkout in collector_runs.checkouts(against):
            best: dict[str, Any] = {}
            for _ in range(rounds):
                figure = _landed(checkout, _config(folder / "lake", url, workspaces, windows), workspaces * windows)
                best = min(best or figure, figure, key=lambda each: each["first"]["cpu_seconds"])
            yield {"size": size, "workspaces": workspaces, "windows": windows, **best}


def _landed(checkout: Checkout, file: Path, windows: int) -> dict[str, Any]:
    """A run that lands all windows, and one that has nothing to do."""
    first, again = _run(checkout, file), None
    if first["exit_code"] == LANDED:
        collector_runs.expect("windows answered", first["windows_ok"], windows)
        again = _run(checkout, file)
        collector_runs.expect("windows requested again", again["requests"], 0)
    return {"code": checkout.name, "first": first, "again": again}


def _run(checkout: Checkout, file: Path) -> dict[str, Any]:
    command = checkout.command(file, "run", "--as-of", collector_runs.LATEST, "--json")
    limited = ["sh", "-c", f'ulimit -n {OPEN_FILES}; exec "$@"', "sh", *command]
    cost = measure(limited, file.parent, probe=machine.open_files, allowed=(LANDED, NO_LAKE))
    report = collector_runs.report_of(cost)
    return {**_of_process(cost), **{name: report[name] for name in ("exit_code", "windows_ok", "requests")}}


def _of_process(cost: Cost) -> dict[str, Any]:
    return {
        "seconds": cost.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "peak_rss": cost.peak_rss,
        "open_files": max((sample.probed for sample in cost.samples), default=0),
    }


def _config(folder: Path, url: str, workspaces: int, windows: int) -> Path:
    """Workspaces with apps and keys of their own; the windows of each are those of its apps, by day and by hour."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "keys").mkdir(parents=True)
    defaults = f"units: [day, hour], scopes: [app], lookback: {{day: 14, hour: 72}}, rate_limit: {UNBOUND}"
    lines = ["lake: ./lake", f"defaults: {{{defaults}}}", "workspaces:"]
    for number in range(workspaces):
        key = folder / "keys" / str(number)
        key.write_text(f"key-{number}")
        key.chmod(0o600)
        apps = ", ".join(f"{{name: a{app}, id: w{number}a{app}}}" for app in range(windows // _UNITS))
        lines.append(f"  - {{name: w{number}, endpoint: '{url}', api_key_file: keys/{number}, apps: [{apps}]}}")
    file = folder / "collector.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


def _row(figure: dict[str, Any]) -> list[str]:
    first, again, workspaces = figure["first"], figure["again"], figure["workspaces"]
    named = [f"{workspaces:,} x {figure['windows']:,}", figure["code"]]
    if first["exit_code"] != LANDED:
        return [*named, f"exit {first['exit_code']}", *[""] * (len(HEAD) - 3)]
    return [
        *named,
        f"{first['seconds']:.2f}",
        f"{first['cpu_seconds']:.2f}",
        f"{1000 * first['cpu_seconds'] / workspaces:,.1f}",
        f"{first['peak_rss'] / MIB:,.0f}",
        f"{first['open_files']:,}",
        f"{again['seconds']:.2f}",
        f"{1000 * again['cpu_seconds'] / workspaces:,.2f}",
    ]
