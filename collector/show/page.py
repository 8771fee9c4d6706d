"""A page: lines of text for a person. Modest colour on a terminal, the same words without it anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence


class Page:
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
    return [_aligned(row, widths) for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(cells).rstrip()
