"""Peak memory of a long run, and its curve: the collector alone, every request another series."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING, Any

from scripts.bench import collector_runs, machine
from scripts.bench.figures import MIB, RESULTS, keep, table
from scripts.bench.servers import constant
from scripts.bench.workload import POINTS, one_window_each

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from scripts.bench.processes import Sample

CHECKPOINT = 10
"""From this journal entry on the curve should be flat."""


def main(arguments: argparse.Namespace) -> None:
    """Measure each size, print and keep."""
    figures, started = [], machine.load()
    for requests in arguments.requests:
        with constant(requests) as server:
            figures.append(_measured(server.url, requests))
    keep("memory", {"server": server.name, "load_at_the_start": started, "figures": figures})
    head = ["requests", "rows", "peak MiB", "at the tenth checkpoint", "highest before landing", "seconds", "CPU s"]
    print(table(head, [_row(figure) for figure in figures]))


def _measured(url: str, requests: int) -> dict[str, Any]:
    folder = machine.WORK / "runs" / "memory"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lake = folder / "lake"
    config = one_window_each(folder, url, requests)
    cost, report = collector_runs.run(
        config, probe=lambda _: sum(1 for _ in lake.glob("_collector/acme/journal/*/*.parquet"))
    )
    collector_runs.expect("rows landed", collector_runs.landed(lake)["rows"], requests * POINTS)
    _write_curve(RESULTS / f"memory-{requests}.csv", cost.samples)
    return {
        "requests": requests,
        "rows": requests * POINTS,
        "peak_rss": cost.peak_rss,
        "seconds": report["duration_seconds"],
        "cpu_seconds": cost.cpu_seconds,
        "landings": collector_runs.landings(lake),
        "at_tenth": next((sample.rss for sample in cost.samples if sample.probed >= CHECKPOINT), 0),
        "before_landing": max((sample.rss for sample in _collecting(cost.samples)), default=0),
    }


def _collecting(samples: tuple[Sample, ...]) -> list[Sample]:
    """The samples up to the last one at which the journal had grown: after it, the journal is being landed."""
    most = max((sample.probed for sample in samples), default=0)
    last = next((place for place, sample in enumerate(samples) if sample.probed == most), 0)
    return list(samples[: last + 1])


def _write_curve(file: Path, samples: tuple[Sample, ...]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["seconds", "rss_mib", "journal_entries"])
        writer.writerows([f"{one.seconds:.2f}", f"{one.rss / MIB:.1f}", one.probed] for one in samples)


def _row(figure: dict[str, Any]) -> list[str]:
    sizes = [f"{figure[name] / MIB:,.0f}" for name in ("peak_rss", "at_tenth", "before_landing")]
    return [
        f"{figure['requests']:,}",
        f"{figure['rows']:,}",
        *sizes,
        f"{figure['seconds']:,.1f}",
        f"{figure['cpu_seconds']:,.1f}",
    ]
