"""The third check: values that must not contradict one another, wherever each of them stands.

A value that a workspace leaves out is its defaults', and then the built-in one. A mistake is noted where the value
stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.config.settings import Retry

if TYPE_CHECKING:
    from collector.config.draft import Draft
    from collector.config.mistake import KeyPath

DEFAULTS: KeyPath = ("defaults",)


def check_order(draft: Draft) -> None:
    """Note a start after its end, and a backoff that starts above its longest."""
    _check_dates(draft, (DEFAULTS,))
    _check_retry(draft, (DEFAULTS,))
    for workspace in draft.workspaces():
        _check_dates(draft, (workspace, DEFAULTS))
        _check_retry(draft, (workspace, DEFAULTS))
        for entry in (*draft.items((*workspace, "apps")), *draft.items((*workspace, "segments"))):
            _check_dates(draft, (entry, workspace, DEFAULTS))


def first_of(draft: Draft, places: tuple[KeyPath, ...], *key: str) -> KeyPath | None:
    """The path at which the key stands in the first of the places that has it."""
    return next((path for place in places if draft.has(path := (*place, *key))), None)


def _check_dates(draft: Draft, places: tuple[KeyPath, ...]) -> None:
    """An own start after the end that holds. An own end before an inherited start is a retired app: no mistake."""
    path, end_path = (*places[0], "start"), first_of(draft, places, "end")
    start, end = draft.day(path), draft.day(end_path) if end_path else None
    if end_path and start and end and start > end:
        line = draft.line(end_path)
        draft.mistake(path, f"{start} is after the end, {end} in line {line}: write an earlier start or a later end")


def _check_retry(draft: Draft, places: tuple[KeyPath, ...]) -> None:
    base_path = first_of(draft, places, "retry", "base_seconds")
    longest_path = first_of(draft, places, "retry", "max_seconds")
    base = draft.get(base_path) if base_path else Retry().base_seconds
    longest = draft.get(longest_path) if longest_path else Retry().max_seconds
    if isinstance(base, int | float) and isinstance(longest, int | float) and longest < base:
        own = [path for path in (longest_path, base_path) if path and path[: len(places[0])] == places[0]]
        text = f"the longest backoff of {longest} s is shorter than the first of {base} s"
        if own:
            draft.mistake(own[0], f"{text}: write max_seconds of {base} or more")
