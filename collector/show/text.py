"""Figures as people read them: thousands apart, durations in two parts, instants in UTC. Pure.

A page: lines of text for a person. Modest colour on a terminal, the same words without it anywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


_STEPS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 window`, `1,240 windows`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """`under 1 s`, `12 s`, `2 min 5 s`, `3 h 20 min`, `1 d 4 h`."""
    if seconds < 1:
        return "under 1 s"
    whole = round(seconds)
    for large, name, small, small_name in _STEPS:
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large} {name} {rest} {small_name}" if rest else f"{whole // large} {name}"
    return f"{whole} s"


def abbreviate(number: int) -> str:
    """Where room is scarce: `9,812`, `249k`. Rounded down, so that what is left is never told too large."""
    return f"{number:,}" if number < 10_000 else f"{number // 1000:,}k"


def format_rate(per_second: float) -> str:
    """`0.4/s`, `97/s`."""
    return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:,.0f}/s"


def instant(when: datetime) -> str:
    """`2026-11-23T03:00:00Z`; the instant is in UTC."""
    return when.isoformat().replace("+00:00", "Z")


class TextOutput:
    """Writes lines to a stream. `style` is rich's: `bold`, `red`, `bold yellow`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._styled = stream.isatty()

    def line(self, text: str = "", style: str = "") -> None:
        """Write one line."""
        if self._styled and style:
            self._console_line(text, style)
        else:
            self._stream.write(f"{text}\n")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], last: Sequence[str] | None = None) -> None:
        """Write columns: the first to the left, the others, which are figures, to the right; `last` is a total."""
        lines = columns([head, *rows, *([last] if last else [])])
        self.line(lines[0], "bold")
        for text in lines[1 : len(rows) + 1]:
            self.line(text)
        for text in lines[len(rows) + 1 :]:
            self.line(text, "bold")

    def _console_line(self, text: str, style: str) -> None:
        from rich.console import Console

        # soft_wrap: the terminal folds a long line, so that it can be copied whole.
        console = Console(file=self._stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
        console.print(text, style=style)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, their cells below one another, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_align(row, widths) for row in rows]


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(cells).rstrip()
