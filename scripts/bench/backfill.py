"""Write amplification: all bytes that a backfill writes, its journal included, over the bytes of the lake it leaves."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from scripts.bench import machine
from scripts.bench.collector_runs import utc
from scripts.bench.figures import keep, table
from scripts.bench.history import FILLED, SERVED, filled, filled_row
from scripts.bench.servers import stand_in
from scripts.bench.workload import AS_OF, UNBOUND, config

if TYPE_CHECKING:
    import argparse


def main(arguments: argparse.Namespace) -> None:
    """Fill a lake of each size, print and keep."""
    started = machine.load()
    figures = [_measured(size, arguments.rate, arguments.journal_kib) for size in arguments.sizes]
    report = {"rate": arguments.rate, "load_at_the_start": started, "figures": figures}
    keep(f"backfill-at-{arguments.rate or 'most'}-{arguments.journal_kib or 'own'}", report)
    print(table(FILLED, [filled_row(figure) for figure in figures]))


def _measured(size: str, rate: int, journal_kib: int) -> dict[str, Any]:
    apps, segments, days = (int(number) for number in size.split("x"))
    folder = machine.WORK / "runs" / "backfill"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    limit = f"{{per_second: {rate}, per_hour: 100000000, reserve: 0}}" if rate else UNBOUND
    keys = f"start: {(AS_OF - timedelta(days=days)).date()}, rate_limit: {limit}"
    with stand_in(config(folder, "http://127.0.0.1:9", keys, apps, segments), [*SERVED, "--now", utc(AS_OF)]) as url:
        name = f"{apps} apps, {segments} segments each, {days:,} days"
        return {"name": name, **filled(config(folder, url, keys, apps, segments), journal_kib)}
