"""What a night costs as a month grows older: thirty nights of restatements, in one month, on one lake."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.bench import collector_runs, machine
from scripts.bench.collector_runs import utc
from scripts.bench.figures import MIB, keep, table
from scripts.bench.processes import measure
from scripts.bench.servers import move_clock, stand_in
from scripts.bench.workload import ENVIRONMENT, UNBOUND, config

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.bench.collector_runs import Checkout

FIRST_NIGHT = datetime(2026, 10, 1, 6, 30, tzinfo=UTC)
"""The first of a month of 31 days, so that thirty nights have their restatements in one file."""

SHOWN = (2, 10, 20, 29)
"""The first night fills the lake. Those that are compared come from the second on."""

SEGMENTS = 25
"""Of each app, besides all users: 50 apps have 1,300 series."""

HEAD = ["night", "code", "restatements", "in the month before", "seconds", "CPU s", "peak MiB"]

_KEYS = f"units: [hour], scopes: [app, app_segment], lookback: {{hour: 68}}, rate_limit: {UNBOUND}"
_LATE = ["--late-share", "0.5", "--late-days", "10", "--pool", "100000000", "--no-young"]
"""Late counts, so that about sixteen hours of each series are restated a night."""


def main(arguments: argparse.Namespace) -> None:
    """Run the nights with each checkout, on a lake of its own; print and keep."""
    if arguments.nights < SHOWN[0]:
        raise SystemExit(f"--nights {arguments.nights}: at least {SHOWN[0]}, since the first night fills the lake")
    started, checkouts = machine.load(), collector_runs.checkouts(arguments.against)
    nights = [night for checkout in checkouts for night in _nights(checkout, arguments.apps, arguments.nights)]
    keep("age", {"load_at_the_start": started, "apps": arguments.apps, "figures": nights})
    shown = [night for number in SHOWN for night in nights if night["night"] == number]
    print(table(HEAD, [_row(night) for night in shown]))
    for checkout in checkouts:
        print(_growth(checkout.name, [night for night in nights if night["code"] == checkout.name][1:]))


def _nights(checkout: Checkout, apps: int, nights: int) -> Iterator[dict[str, Any]]:
    folder = machine.WORK / "runs" / "age"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    offline, before = config(folder, "http://127.0.0.1:9", _KEYS, apps, SEGMENTS), 0
    with stand_in(offline, [*_LATE, "--now", utc(FIRST_NIGHT)]) as url:
        file = config(folder, url, _KEYS, apps, SEGMENTS)
        for number in range(1, nights + 1):
            night = _night(checkout, file, url, FIRST_NIGHT + timedelta(days=number - 1))
            collector_runs.expect("series requested", night["requests"], apps * (SEGMENTS + 1))
            yield {"night": number, "code": checkout.name, "before": before, **night}
            before += night["restated"]


def _night(checkout: Checkout, file: Path, url: str, instant: datetime) -> dict[str, Any]:
    move_clock(url, utc(instant))
    command = checkout.command(file, "run", "--as-of", utc(instant), "--json")
    cost = measure(command, file.parent, ENVIRONMENT)
    report = collector_runs.report_of(cost)
    return {
        "requests": report["requests"],
        "restated": report["rows_restated"],
        "seconds": cost.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "peak_rss": cost.peak_rss,
    }


def _row(night: dict[str, Any]) -> list[str]:
    return [
        str(night["night"]),
        night["code"],
        f"{night['restated']:,}",
        f"{night['before']:,}",
        f"{night['seconds']:.2f}",
        f"{night['cpu_seconds']:.2f}",
        f"{night['peak_rss'] / MIB:,.0f}",
    ]


def _growth(code: str, nights: list[dict[str, Any]]) -> str:
    """The highest of the later nights over the second night; of seconds, less one for each million rows before."""
    second, later = nights[0], nights[1:] or nights
    ratios = []
    for name, a_row in (("seconds", 1e-6), ("cpu_seconds", 1e-6), ("peak_rss", 0.0)):
        most = max(night[name] - a_row * (night["before"] - second["before"]) for night in later)
        ratios.append(f"{name.replace('_', ' ')} {most / second[name]:.2f}")
    return f"{code}: highest of nights {later[0]['night']} to {later[-1]['night']} over night 2: {', '.join(ratios)}"
