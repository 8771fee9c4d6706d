"""Figures as people read them: thousands apart, durations in two parts, instants in UTC. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def short(number: int) -> str:
    """Where room is scarce: `9,812`, `249k`. Rounded down, so that what is left is never told too large."""
    return f"{number:,}" if number < 10_000 else f"{number // 1000:,}k"


def pace(per_second: float) -> str:
    """`0.4/s`, `97/s`."""
    return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:,.0f}/s"


def instant(when: datetime) -> str:
    """`2026-11-23T03:00:00Z`; the instant is in UTC."""
    return when.isoformat().replace("+00:00", "Z")
