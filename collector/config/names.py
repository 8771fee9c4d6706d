"""The second check: names and ids against one another. Nothing stands twice, and what is referred to exists."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from collector.config.mistake import KeyPath, shown

if TYPE_CHECKING:
    from collector.config.draft import Draft


def check_names(draft: Draft) -> None:
    """Note duplicate names, ids and list entries, and restrictions to segments that are not defined."""
    _check_unique(draft, draft.workspaces(), ("name",))
    for place in (("defaults",), *draft.workspaces()):
        for key in ("units", "scopes"):
            _check_listed_once(draft, (*place, key))
    for workspace in draft.workspaces():
        for key in ("apps", "segments"):
            _check_unique(draft, draft.items((*workspace, key)), ("id", "name"))
        for app in draft.items((*workspace, "apps")):
            _check_listed_once(draft, (*app, "segments"))
            _check_defined(draft, workspace, app)


def _check_unique(draft: Draft, entries: list[KeyPath], keys: tuple[str, ...]) -> None:
    seen: dict[tuple[str, str], KeyPath] = {}
    for entry in entries:
        for key in keys:
            text = draft.text((*entry, key))
            if text is None:
                continue
            first = seen.setdefault((key, text), entry)
            if first != entry:
                line = draft.line((*first, key))
                draft.mistake((*entry, key), f"{shown(text)} stands twice, first in line {line}: write another {key}")
                break  # an entry copied whole is one mistake


def _check_listed_once(draft: Draft, path: KeyPath) -> None:
    seen: set[str] = set()
    for item in draft.items(path):
        text = draft.text(item)
        if text in seen:
            draft.mistake(item, f"{shown(text)} stands twice in this list: remove one")
        elif text is not None:
            seen.add(text)


def _check_defined(draft: Draft, workspace: KeyPath, app: KeyPath) -> None:
    place = (*workspace, "segments")
    names = [draft.text((*segment, "name")) for segment in draft.items(place)]
    if draft.spoiled(place) or None in names:
        return  # the name that is looked for may be one of those that cannot be read
    defined = [name for name in names if name is not None]
    for item in draft.items((*app, "segments")):
        text = draft.text(item)
        if text is not None and text not in defined:
            nearest = get_close_matches(text, defined, n=1) or defined[:1]
            hint = f"write {shown(nearest[0])}, or define it" if nearest else "define it"
            draft.mistake(item, f"no segment {shown(text)} in this workspace: {hint} under segments")
