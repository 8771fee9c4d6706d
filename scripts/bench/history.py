"""What a night costs as the lake grows: the same nights on lakes that started at different dates, side by side.

Bytes are those of the whole process less those of a run that finds nothing to do in an empty lake: that is the program
itself being loaded. How the lakes were filled is kept too, as backfills.
"""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.bench import collector_runs, machine
from scripts.bench.collector_runs import utc
from scripts.bench.figures import MIB, Figure, keep, table
from scripts.bench.servers import move_clock, stand_in
from scripts.bench.workload import AS_OF, UNBOUND, config

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

SERVED = ["--pool", "100000000", "--no-young"]


def main(arguments: argparse.Namespace) -> None:
    """Fill the lakes, measure the nights in turn, print and keep."""
    started, apps, segments = machine.load(), arguments.apps, arguments.segments
    instants = [AS_OF + timedelta(days=number) for number in range(arguments.nights + 1)]
    offline = _lake("offline", "http://127.0.0.1:9", AS_OF.date(), apps, segments)
    with stand_in(offline, [*SERVED, "--now", utc(AS_OF)]) as url:
        idle, _ = collector_runs.run(_lake("idle", url, date(2030, 1, 1), apps, segments))
        lakes = [_filled(url, days, apps, segments) for days in arguments.days]
        print(table(FILLED, [filled_row(lake) for lake in lakes]) + "\n", flush=True)
        for instant in instants[1:]:
            move_clock(url, utc(instant))
            for lake in lakes:
                lake["nights"].append(_night(lake["config"], instant, idle.read, idle.written))
    figures = [{**lake, "config": ""} for lake in lakes]
    keep("history", {"load_at_the_start": started, "figures": figures})
    print(table(["lake of", "requests", "read MiB", "written MiB", "seconds", "CPU s"], [_row(lake) for lake in lakes]))
    print(_ratios(lakes[0]["nights"], lakes[-1]["nights"]))


FILLED = ["lake of", "rows", "requests", "seconds", "MiB in the lake", "MiB written", "written over lake", "landings"]


def filled(config_file: Path, journal_kib: int = 0) -> dict[str, Any]:
    """Fill a lake from nothing, and tell what was written for it. Journal, staging and locks count as written.

    journal_kib: land the journal whenever it has grown to so much; 0: at the collector's own bound.
    """
    program = ("scripts.bench.small_journal", str(journal_kib)) if journal_kib else ("collector",)
    cost, report = collector_runs.run(config_file, program=program)
    lake = config_file.parent / "lake"
    every = collector_runs.landed(lake, "**/*.parquet")
    return {
        "requests": report["requests"],
        "rows": report["rows_added"],
        "seconds": report["duration_seconds"],
        "cpu_seconds": cost.cpu_seconds,
        "peak_rss": cost.peak_rss,
        "lake_bytes": every["bytes"],
        "written": cost.written,
        "landings": collector_runs.landings(lake),
    }


def filled_row(lake: dict[str, Any]) -> list[str]:
    """One line of the table."""
    return [
        lake["name"],
        f"{lake['rows']:,}",
        f"{lake['requests']:,}",
        f"{lake['seconds']:,.0f}",
        f"{lake['lake_bytes'] / MIB:,.1f}",
        f"{lake['written'] / MIB:,.1f}",
        f"{lake['written'] / lake['lake_bytes']:.2f}",
        str(lake["landings"]),
    ]


def _filled(url: str, days: int, apps: int, segments: int) -> dict[str, Any]:
    file = _lake(f"lake-{days}", url, (AS_OF - timedelta(days=days)).date(), apps, segments)
    return {"name": f"{days:,} days", "days": days, "config": file, "nights": [], **filled(file)}


def _lake(name: str, url: str, start: date, apps: int, segments: int) -> Path:
    folder = machine.WORK / "runs" / "history" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return config(folder, url, f"start: {start}, rate_limit: {UNBOUND}", apps, segments)


def _night(file: Path, instant: datetime, read: int, written: int) -> dict[str, Any]:
    cost, report = collector_runs.run(file, utc(instant))
    return {
        "requests": report["requests"],
        "restated": report["rows_restated"],
        "read": cost.read - read,
        "written": cost.written - written,
        "seconds": report["duration_seconds"],
        "cpu_seconds": cost.cpu_seconds,
        "peak_rss": cost.peak_rss,
    }


def _row(lake: dict[str, Any]) -> list[str]:
    nights = lake["nights"]
    return [
        lake["name"],
        f"{nights[0]['requests']:,}",
        Figure(tuple(night["read"] / MIB for night in nights)).text(1),
        Figure(tuple(night["written"] / MIB for night in nights)).text(1),
        Figure(tuple(night["seconds"] for night in nights)).text(2),
        Figure(tuple(night["cpu_seconds"] for night in nights)).text(2),
    ]


def _ratios(short: Sequence[dict[str, Any]], long: Sequence[dict[str, Any]]) -> str:
    """The long lake's nights over the short one's."""
    report = []
    for name in ("read", "written", "seconds", "cpu_seconds"):
        ratio = Figure(tuple(one[name] / other[name] for one, other in zip(long, short, strict=True)))
        report.append(f"{name.replace('_', ' ')} {ratio.text(2)}")
    return "\nlongest over shortest: " + ", ".join(report)
