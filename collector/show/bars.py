"""Progress on a terminal: a line and a bar for each workspace at work, and one for all of them. It draws alone.

In: standings and the screen's size. Out: a block that fits it, line by line; the last column takes what room is left,
and is cut there. rich is imported where it is used: the program's help must not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.show.figures import short
from collector.show.standing import Standing, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.text import Text

WIDE = 120
"""Columns from which on there is room for long names, long bars, and the pool's limit."""

_STYLES = ("bold", "green", "", "", "", "red")


def draw(standings: Sequence[Standing], width: int, height: int) -> RenderableType:
    """The lanes as a block for a screen of so many columns and lines."""
    from rich.console import Group
    from rich.text import Text

    shown = _most_telling(standings, height - 3)  # room for the others, the total, and the cursor's line
    last = [total(standings)] if len(standings) > 1 else []
    rows = [_cells(one, wide=width >= WIDE) for one in (*shown, *last)]
    lines = [_line(one, row, _widths(rows)) for one, row in zip((*shown, *last), rows, strict=True)]
    if len(shown) < len(standings):
        lines.insert(len(shown), Text(_more([one for one in standings if one not in shown]), style="dim"))
    return Group(*lines)


def _most_telling(standings: Sequence[Standing], room: int) -> Sequence[Standing]:
    """Those at work first, then those that had something to do, each as the config orders them; all where they fit."""
    if len(standings) <= room:
        return standings
    ranked = sorted(standings, key=lambda one: (not one.active, not one.planned))
    return ranked[: max(1, room)]


def _more(hidden: Sequence[Standing]) -> str:
    working = sum(one.active for one in hidden)
    return f"… and {len(hidden):,} more" + (f" ({working:,} at work)" if working else "")


def _cells(standing: Standing, *, wide: bool) -> list[str]:
    """Name, bar, percent, windows, pool, failures."""
    share = standing.settled / standing.planned if standing.planned else 1.0
    name_room, bar_room = (24, 20) if wide else (12, 8)
    filled = int(share * bar_room)
    name = standing.name if len(standing.name) <= name_room else f"{standing.name[: name_room - 1]}…"
    return [
        name,
        "━" * filled + "─" * (bar_room - filled),
        f"{int(share * 100)}%",
        f"{standing.settled:,}/{standing.planned:,}",
        _pool(standing, wide=wide),
        f"{standing.failed:,} failed" if standing.failed else "",
    ]


def _pool(standing: Standing, *, wide: bool) -> str:
    if standing.pool is None:
        return ""
    left, limit = standing.pool
    if left is None:
        return "pool ?"
    if not limit:
        return f"pool {short(left)}"
    return f"pool {short(left)}/{short(limit)}" if wide else f"pool {left * 100 // limit}%"


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _line(standing: Standing, cells: Sequence[str], widths: Sequence[int]) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    for place, (cell, room, style) in enumerate(zip(cells, widths, _STYLES, strict=True)):
        if room:
            line.append(cell.rjust(room) if place else cell.ljust(room), style)
            line.append(" ")
    return line.append(standing.state, "yellow" if standing.paused_until or standing.note else "")
