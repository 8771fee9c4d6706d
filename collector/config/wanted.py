"""The fourth check: each workspace must have series to collect, and each series must have buckets that are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.config.file import BUILT_IN
from collector.config.order import DEFAULTS, first_of
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collector.config.draft import Draft
    from collector.config.mistake import KeyPath


def check_wanted(draft: Draft) -> None:
    """Note workspaces without any series, and a lookback of 0 where nothing else says what is wanted."""
    for workspace in draft.workspaces():
        texts = _listed(draft, workspace, "scopes", BUILT_IN.scopes)
        if texts is None or any(draft.spoiled((*workspace, key)) for key in ("apps", "segments")):
            continue
        scopes = [Scope(text) for text in texts]
        starts = {scope: _starts(draft, workspace, scope) for scope in scopes}
        if not any(starts.values()):
            _note_nothing(draft, workspace, scopes)
        elif not all(has_start for each in starts.values() for has_start in each):
            _check_lookback(draft, workspace)


def _starts(draft: Draft, workspace: KeyPath, scope: Scope) -> list[bool]:
    """For each series of the scope (but its units), whether it has a start of its own."""
    apps, segments = (draft.items((*workspace, key)) for key in ("apps", "segments"))
    match scope:
        case Scope.APP:
            return [draft.has((*app, "start")) for app in apps]
        case Scope.WORKSPACE_SEGMENT:
            return [draft.has((*segment, "start")) for segment in segments]
        case Scope.APP_SEGMENT:
            return _starts_of_pairs(draft, apps, segments)
        case Scope.WORKSPACE:
            return [False]


def _starts_of_pairs(draft: Draft, apps: list[KeyPath], segments: list[KeyPath]) -> list[bool]:
    started = {draft.text((*segment, "name")): draft.has((*segment, "start")) for segment in segments}
    pairs: list[bool] = []
    for app in apps:
        only = draft.get((*app, "segments"))
        own = draft.has((*app, "start"))
        names = started if only is None else only if isinstance(only, list) else []
        pairs += [own or started.get(name, True) for name in names if name is None or isinstance(name, str)]
    return pairs


def _note_nothing(draft: Draft, workspace: KeyPath, scopes: list[Scope]) -> None:
    apps, segments = (draft.items((*workspace, key)) for key in ("apps", "segments"))
    wanted = []
    if not apps and any(scope.has_app for scope in scopes):
        wanted.append("apps")
    if not segments and Scope.APP not in scopes:
        wanted.append("segments")
    missing = " and ".join(wanted) or "segments to an app"
    listed = ", ".join(scopes)
    place = (*workspace, wanted[0] if wanted else "scopes")
    draft.mistake(place, f"nothing to collect for scopes [{listed}]: add {missing}, or the scope workspace")


def _check_lookback(draft: Draft, workspace: KeyPath) -> None:
    """Some series has no start of its own: then the workspace's, or the lookback, must say what is wanted."""
    if first_of(draft, (workspace, DEFAULTS), "start"):
        return
    off = []
    for unit in _listed(draft, workspace, "units", BUILT_IN.units) or ():
        path = first_of(draft, (workspace, DEFAULTS), "lookback", str(unit))
        if path and draft.get(path) == 0:
            off.append(path)
    if off:
        path = off[0] if len(off) == 1 else off[0][:-1]
        draft.mistake(path, "0 and no start: nothing would be wanted of some series; write a start, or 1 or more here")


def _listed(
    draft: Draft, workspace: KeyPath, key: str, built_in: tuple[Unit, ...] | tuple[Scope, ...]
) -> list[str] | None:
    """The words of a list that the workspace has or inherits; None where they cannot be relied on."""
    path = first_of(draft, (workspace, DEFAULTS), key)
    if path is None:
        return list(built_in)
    if not draft.whole(path):
        return None
    return [text for item in draft.items(path) if (text := draft.text(item)) is not None]
