"""Validated entries to the frozen Config: defaults filled in, paths made absolute.

In: the file's entries without a mistake, its folder, the keys. Out: the Config. Nothing fails here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from collector.config.file import BUILT_IN, AppEntry, FileEntry, SettingsEntry, WorkspaceEntry
from collector.config.settings import App, Config, RateLimit, Retry, Secret, Segment, Storage, Workspace
from collector.model import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from collector.config.mistake import KeyPath

_NESTED = ("lookback", "rate_limit", "retry")


def resolve(entry: FileEntry, folder: Path, secrets: Mapping[KeyPath, Secret], warnings: tuple[str, ...]) -> Config:
    """Make the Config. `secrets` are by the path of their workspace."""
    workspaces = tuple(
        _workspace(each, entry.defaults, secrets.get(("workspaces", index)))
        for index, each in enumerate(entry.workspaces)
    )
    storage = Storage(**entry.storage.model_dump(exclude_none=True)) if entry.storage else Storage()
    return Config(_place(entry.lake, folder), workspaces, warnings, storage)


def _place(lake: str, folder: Path) -> str:
    if "://" in lake:
        return lake
    path = folder.absolute() / lake
    try:
        return str(path.resolve())
    except (OSError, RuntimeError):  # links in a circle: the lake, when it is opened, says so
        return str(path)


def _workspace(entry: WorkspaceEntry, defaults: SettingsEntry | None, key: Secret | None) -> Workspace:
    settings: dict[str, Any] = _given(defaults) | _given(entry)
    return Workspace(
        name=entry.name,
        endpoint=entry.endpoint,
        timezone=ZoneInfo(entry.timezone or "UTC"),
        api_key=key,
        apps=tuple(map(_app, entry.apps or ())),
        segments=tuple(Segment(each.name, each.id, each.start, each.end) for each in entry.segments or ()),
        lookback=_lookback(entry, defaults),
        rate_limit=RateLimit(**_merged("rate_limit", entry, defaults)),
        retry=Retry(**_merged("retry", entry, defaults)),
        **settings,
    )


def _app(entry: AppEntry) -> App:
    segments = None if entry.segments is None else tuple(entry.segments)
    return App(entry.name, entry.id, segments, entry.start, entry.end)


def _lookback(entry: WorkspaceEntry, defaults: SettingsEntry | None) -> Mapping[Unit, int]:
    own = {Unit(unit): count for unit, count in _merged("lookback", entry, defaults).items()}
    return MappingProxyType({**BUILT_IN.lookback, **own})


def _given(entry: SettingsEntry | None) -> dict[str, Any]:
    """The settings of one value each that stand there; the nested ones are merged key by key."""
    if entry is None:
        return {}
    names = [name for name in SettingsEntry.model_fields if name not in _NESTED]
    given = ((name, getattr(entry, name)) for name in names)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given if value is not None}


def _merged(name: str, *entries: SettingsEntry | None) -> dict[str, Any]:
    """The keys of a nested mapping; the first entry that has one wins."""
    merged: dict[str, Any] = {}
    for entry in entries:
        nested: BaseModel | None = getattr(entry, name, None)
        if nested is not None:
            merged = nested.model_dump(exclude_none=True) | merged
    return merged
