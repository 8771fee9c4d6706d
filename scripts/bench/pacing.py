"""A permitted rate: how much of it is used, whether any second at the server holds more, and what that costs.

The stand-in answers after 5 to 300 ms, and counts the busiest second of arrivals, wherever it begins. Beside each run a
bare aiohttp loop asks it for the same at the same pace: a core that naps between requests is slower, and how much so
differs from machine to machine and from hour to hour.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from scripts.bench import collector_runs, machine, programs
from scripts.bench.figures import Figure, keep, table
from scripts.bench.servers import stand_in, stats
from scripts.bench.workload import AS_OF, POINTS, SEGMENTS, config

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

_LATENCY = "5-300"
_CONCURRENCY = 200
"""Enough for 500 a second at the longest latency."""


def main(arguments: argparse.Namespace) -> None:
    """Measure each rate in turn, print and keep."""
    started = machine.load()
    figures = [_measured(rate, arguments.seconds) for _ in range(arguments.rounds) for rate in arguments.rates]
    keep("pacing", {"latency_ms": _LATENCY, "load_at_the_start": started, "figures": figures})
    head = [
        *("permitted a second", "used, per cent", "most in a second, sent", "… arrived", "per cent of a core"),
        *("… of the bare loop", "over the bare loop's"),
    ]
    print(table(head, [_row(rate, [one for one in figures if one["rate"] == rate]) for rate in arguments.rates]))


def _measured(rate: int, seconds: int) -> dict[str, Any]:
    folder = machine.WORK / "runs" / "pacing"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    apps = max(1, rate * seconds // SEGMENTS)
    options = ["--now", AS_OF.isoformat(), "--latency", _LATENCY, "--pool", "100000000"]
    with stand_in(_config(folder, "http://127.0.0.1:9", rate, apps), options) as url:
        cost, report = collector_runs.run(_config(folder, url, rate, apps))
        asked = stats(url)
        bare = programs.bare(rate).run(url, apps * SEGMENTS).cost
    collector_runs.expect("requests answered", report["windows_ok"], apps * SEGMENTS)
    sent = collector_runs.counted(["scripts.bench.counts", "sent", str(folder / "lake")])
    return {
        "rate": rate,
        "requests": apps * SEGMENTS,
        "share_used": sent["even"] / (sent["seconds"] * rate),
        "busiest_sent": sent["busiest"],
        "busiest_arrived": asked["busiest_second"],
        "share_of_core": cost.cpu_seconds / cost.seconds,
        "share_of_core_bare": bare.cpu_seconds / bare.seconds,
        "most_in_flight": asked["most_in_flight"],
    }


def _config(folder: Path, url: str, rate: int, apps: int) -> Path:
    limit = f"rate_limit: {{per_second: {rate}, per_hour: 100000000, reserve: 0}}, concurrency: {_CONCURRENCY}"
    keys = f"units: [hour], scopes: [app_segment], lookback: {{hour: {POINTS}}}, {limit}"
    return config(folder, url, keys, apps, SEGMENTS)


def _row(rate: int, figures: Sequence[dict[str, Any]]) -> list[str]:
    return [
        str(rate),
        Figure(tuple(100 * one["share_used"] for one in figures)).text(2),
        str(max(one["busiest_sent"] for one in figures)),
        str(max(one["busiest_arrived"] for one in figures)),
        Figure(tuple(100 * one["share_of_core"] for one in figures)).text(1),
        Figure(tuple(100 * one["share_of_core_bare"] for one in figures)).text(1),
        Figure(tuple(one["share_of_core"] / one["share_of_core_bare"] for one in figures)).text(2),
    ]
