"""Figures as people read them: medians with their spread, tables, and JSON that is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from scripts.bench import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = machine.WORK / "results"
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Figure:
    """Several measurements of one thing."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    def text(self, digits: int = 0) -> str:
        """Median and, where there are several, the least and the most."""
        middle = f"{self.middle:,.{digits}f}"
        if len(self.values) < 2:
            return middle
        return f"{middle} ({min(self.values):,.{digits}f}–{max(self.values):,.{digits}f})"  # noqa: RUF001  # a range


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its columns aligned."""
    lines = [head, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    texts = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    texts.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {text} |" for text in texts)


def keep(name: str, figures: dict[str, Any]) -> None:
    """Write the figures of one part to `.bench/results/NAME.json`, with the machine and how busy it was."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    report = {"when": when, "machine": machine.described(), "load_at_the_end": machine.load(), **figures}
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")


def kept(name: str) -> dict[str, Any] | None:
    """The figures of a part, where it has run."""
    file = RESULTS / f"{name}.json"
    if not file.exists():
        return None
    report: dict[str, Any] = json.loads(file.read_text())
    return report
