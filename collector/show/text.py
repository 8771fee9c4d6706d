"""Text for people: numbers, durations and instants as words, and lines and tables on a stream.

A terminal gets bold and coloured text; any other stream, and a terminal with NO_COLOR set, gets the same words plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import Console


_UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""A unit in seconds and its name, and the next smaller unit and its name."""


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 window`, `1,240 windows`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """`under 1 s`, `12 s`, `2 min 5 s`, `3 h 20 min`, `1 d 4 h`."""
    if seconds < 1:
        return "under 1 s"
    rounded = round(seconds)
    for large, name, small, small_name in _UNITS:
        if rounded >= large:
            rest = rounded % large // small
            return f"{rounded // large} {name} {rest} {small_name}" if rest else f"{rounded // large} {name}"
    return f"{rounded} s"


def abbreviate(number: int) -> str:
    """`9,812`, `249k`. Rounded down, so that a remaining quota is never shown too large."""
    return f"{number:,}" if number < 10_000 else f"{number // 1000:,}k"


def format_rate(per_second: float) -> str:
    """`0.4/s`, `97/s`."""
    return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:,.0f}/s"


def instant(when: datetime) -> str:
    """`2026-11-23T03:00:00Z`, for an instant in UTC; without fractions of a second."""
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


class TextOutput:
    """Writes lines to a stream. A `style` is one of rich's, such as `bold` or `bold yellow`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()

    def line(self, text: str = "", style: str = "") -> None:
        """Write one line."""
        if self._is_terminal and style:
            # soft_wrap: the terminal itself wraps a long line, so that it can be copied as one.
            terminal_console(self._stream).print(text, style=style, soft_wrap=True)
        else:
            self._stream.write(f"{text}\n")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None) -> None:
        """Write a table: the first column to the left, the others, which are numbers, to the right."""
        lines = _columns([head, *rows, *([total] if total else [])])
        self.line(lines[0], "bold")
        for text in lines[1 : len(rows) + 1]:
            self.line(text)
        for text in lines[len(rows) + 1 :]:
            self.line(text, "bold")


def terminal_console(stream: TextIO) -> Console:
    """A rich console on a terminal. With NO_COLOR set, it writes no styles at all, not even bold."""
    from rich.console import Console

    console = Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)
    if not console.no_color:
        return console
    return Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False, color_system=None)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of equal columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_align(row, widths) for row in rows]


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(cells).rstrip()
