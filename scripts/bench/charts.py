"""Draws what the other parts have kept: docs/charts/throughput.svg and docs/charts/memory.svg. Text and lines alone."""

from __future__ import annotations

import csv
from statistics import median
from typing import TYPE_CHECKING, Any

from scripts.bench.figures import RESULTS, kept
from scripts.bench.machine import ROOT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from pathlib import Path

FOLDER = ROOT / "docs" / "charts"
WIDTH, LEFT, RIGHT = 760, 170, 90
INK, OURS, OTHERS, GRID = "#24292f", "#0969da", "#8c959f", "#d8dee4"


def main(arguments: argparse.Namespace) -> None:  # noqa: ARG001  # as each part has it
    """Draw what there is."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    throughput = kept("throughput")
    if throughput:
        _write("throughput.svg", _bars(throughput["figures"]))
    curves = sorted(RESULTS.glob("memory-*.csv"), key=_requests)
    if curves:
        _write("memory.svg", _lines(curves))


def _bars(figures: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Seconds that everyone took for the full number of requests; short is good."""
    requests = figures[0]["requests"]
    full = [figure for figure in figures if figure["requests"] == requests]
    seconds = {figure["name"]: median(figure["whole_seconds"]) for figure in full}
    scale = (WIDTH - LEFT - RIGHT) / max(seconds.values())
    drawn = [_text(16, 26, f"{requests:,} requests, {requests * 100:,} rows: seconds, start-up included", size=15)]
    for place, (name, took) in enumerate(seconds.items()):
        top = 44 + 30 * place
        fill = OURS if name == "this collector" else OTHERS
        drawn.append(_text(LEFT - 8, top + 15, name, anchor="end"))
        drawn.append(f'<rect x="{LEFT}" y="{top}" width="{took * scale:.1f}" height="21" rx="2" fill="{fill}"/>')
        drawn.append(_text(LEFT + took * scale + 6, top + 15, f"{took:.2f} s"))
    return 56 + 30 * len(seconds), drawn


def _lines(files: list[Path]) -> tuple[int, list[str]]:
    """Resident memory over time, each run on a time axis of its own length."""
    curves = {file: _points(file) for file in files}
    top = max(rss for points in curves.values() for _, rss in points) * 1.1
    height, base = 300, 260
    drawn = [_text(16, 26, "Resident memory over a run, MiB (time: share of the run)", size=15)]
    for level in range(0, int(top) + 1, 100):
        y = base - (base - 44) * level / top
        drawn.append(f'<line x1="60" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        drawn.append(_text(52, y + 4, str(level), anchor="end"))
    for number, (file, points) in enumerate(curves.items()):
        colour, end = (OURS, OTHERS)[(len(curves) - 1 - number) % 2], points[-1][0]
        path = " ".join(
            f"{60 + (WIDTH - 80) * at / end:.1f},{base - (base - 44) * rss / top:.1f}" for at, rss in points
        )
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        rows, peak = _requests(file) * 100, max(rss for _, rss in points)
        label = f"{rows / 1e6:g} million rows: {end:.0f} s, at most {peak:.0f} MiB"
        drawn.append(_text(60 + 340 * number, height - 12, label, colour=colour))
    return height, drawn


def _points(file: Path) -> list[tuple[float, float]]:
    with file.open(newline="") as rows:
        points = [(float(row["seconds"]), float(row["rss_mib"])) for row in csv.DictReader(rows)]
    return [point for point in points if point[1]]


def _requests(file: Path) -> int:
    return int(file.stem.partition("-")[2])


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, colour: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{text}</text>'


def _write(name: str, chart: tuple[int, Iterable[str]]) -> None:
    height, drawn = chart
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif"><rect width="{WIDTH}" height="{height}" fill="white"/>'
    )
    (FOLDER / name).write_text("\n".join([head, *drawn, "</svg>"]) + "\n")
    print(f"docs/charts/{name}")
