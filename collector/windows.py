"""Windows in the order in which they are requested: each series' newest first, then each one's second newest. Pure.

All series of one span are together. A backfill has a million windows and a few hundred spans. So each span is held
once, with the series for which it is requested, and a `Window` is made only when it is about to be sent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.model import MAX_WINDOW, Span, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collector.model import Reason, Series


Turn = tuple[int, bool, float, int, float, float, str]
"""Sorts windows of all workspaces, the most urgent first.

The place among its series' windows (0: the newest); whether all of its buckets were answered before; when the oldest of
these answers came (seconds since 1970; less than any, where there was none); the metric's place in the config; the
span's end and start, newest first; its unit.
"""


@dataclass(slots=True)
class SpanGroup:
    """A span and the series for which it is requested in the same turn, each for its own reason."""

    turn: Turn
    span: Span
    series: list[Series] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raise ValueError for a length that the API would refuse."""
        if not 1 <= len(self.span) <= MAX_WINDOW:
            raise ValueError(f"a window holds 1 to {MAX_WINDOW} buckets, not {len(self.span)}: {self.span}")

    def part(self, first: int, stop: int | None = None) -> SpanGroup:
        """The group with some of its series: those from `first` up to, and not including, `stop`."""
        return SpanGroup(self.turn, self.span, self.series[first:stop], self.reasons[first:stop])


class Windows(Collection[Window]):
    """Windows in the order of their turns. May be iterated more than once."""

    def __init__(self, groups: Iterable[SpanGroup] = ()) -> None:
        self.groups = sorted((group for group in groups if group.series), key=_by_turn)

    def __len__(self) -> int:
        """The number of windows."""
        return sum(len(group.series) for group in self.groups)

    def __iter__(self) -> Iterator[Window]:
        """Each window, made when it is needed."""
        for group in self.groups:
            for series, reason in zip(group.series, group.reasons, strict=True):
                yield Window(series, group.span, reason)

    def __contains__(self, window: object) -> bool:
        """Whether it is one of them."""
        return any(window == each for each in self)

    def split(self, count: int) -> tuple[Windows, Windows]:
        """The first `count` windows, and the rest."""
        # The cut may be inside a group. An empty half is dropped by the constructor.
        kept, rest = [], []
        for group in self.groups:
            taken = min(count, len(group.series))
            kept.append(group.part(0, taken))
            rest.append(group.part(taken))
            count -= taken
        return Windows(kept), Windows(rest)


def limit_requests(plans: Sequence[Windows], requests: int | None) -> list[tuple[Windows, Windows]]:
    """Split each plan where `requests`, shared by all plans, are used up. Turns are those of all plans together.

    None for `requests`: nothing is left over.
    """
    if requests is None:
        return [(windows, Windows()) for windows in plans]
    # Turns are made of instants, so groups of all workspaces compare. A plan is in this order itself, so what it keeps
    # are its first windows: a count for each plan is enough.
    ranked = sorted(
        (group.turn, place, len(group.series)) for place, windows in enumerate(plans) for group in windows.groups
    )
    kept = [0] * len(plans)
    for _, place, count in ranked:
        taken = min(count, requests)
        kept[place] += taken
        requests -= taken
    return [windows.split(count) for windows, count in zip(plans, kept, strict=True)]


def _by_turn(group: SpanGroup) -> Turn:
    return group.turn
