"""Windows in the order in which they are asked for: newest span first, all series of one span together. Pure.

A backfill has a million windows and a few hundred spans. So what is held is each span once, and the series that it is
asked of; a `Window` is made when its turn comes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.model import MAX_WINDOW, Span, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collector.model import Reason, Series


RecencyKey = tuple[float, float, str]
"""Sorts spans of all units and workspaces: by their end, then by their start, newest first; then by unit."""


@dataclass(slots=True)
class SpanGroup:
    """A span and the series that are asked for it, each for its own reason."""

    newest: RecencyKey
    span: Span
    series: list[Series] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse what the API would refuse."""
        if not 1 <= len(self.span) <= MAX_WINDOW:
            raise ValueError(f"a window holds 1 to {MAX_WINDOW} buckets, not {len(self.span)}: {self.span}")

    def part(self, first: int, stop: int | None = None) -> SpanGroup:
        """Some of the series."""
        return SpanGroup(self.newest, self.span, self.series[first:stop], self.reasons[first:stop])


class Windows(Collection[Window]):
    """Windows, newest first. May be gone through as often as needed."""

    def __init__(self, groups: Iterable[SpanGroup] = ()) -> None:
        self.groups = sorted((group for group in groups if group.series), key=_by_newest)

    def __len__(self) -> int:
        """How many."""
        return sum(len(group.series) for group in self.groups)

    def __iter__(self) -> Iterator[Window]:
        """Each, made as it is asked for."""
        for group in self.groups:
            for series, reason in zip(group.series, group.reasons, strict=True):
                yield Window(series, group.span, reason)

    def __contains__(self, window: object) -> bool:
        """Whether it is one of them."""
        return any(window == each for each in self)

    def split(self, count: int) -> tuple[Windows, Windows]:
        """The first so many, and the rest."""
        kept, rest = [], []
        for group in self.groups:
            taken = min(count, len(group.series))
            kept.append(group.part(0, taken))
            rest.append(group.part(taken))
            count -= taken
        return Windows(kept), Windows(rest)


def limit_requests(plans: Sequence[Windows], requests: int | None) -> list[tuple[Windows, Windows]]:
    """For each plan its windows within so many requests in all, the newest of all plans first, and the rest."""
    if requests is None:
        return [(windows, Windows()) for windows in plans]
    ranked = sorted(
        (group.newest, place, len(group.series)) for place, windows in enumerate(plans) for group in windows.groups
    )
    kept = [0] * len(plans)
    for _, place, count in ranked:
        taken = min(count, requests)
        kept[place] += taken
        requests -= taken
    return [windows.split(count) for windows, count in zip(plans, kept, strict=True)]


def _by_newest(group: SpanGroup) -> RecencyKey:
    return group.newest
