"""Reads a config file: bytes to the frozen Config, or all its mistakes at once.

In: a path and the environment. Out: a Config with every default filled in and absolute paths, or ConfigError with every
mistake, sorted by line. Nothing else is raised, whatever the file holds.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from collector.config.checks import check_names, check_order, check_storage, check_wanted
from collector.config.document import Document, UnreadableError, read_document
from collector.config.fields import check_fields
from collector.config.files import CannotRead, read_regular
from collector.config.metrics import check_metrics, metric_choices
from collector.config.mistakes import WHOLE_FILE, ConfigCheck, ConfigError, Mistake, path_text
from collector.config.schema import BUILT_IN, AppModel, FileModel, SettingsModel, WorkspaceModel
from collector.config.secrets import check_keys
from collector.config.settings import App, Config, Limits, RateLimit, Retry, Secret, Segment, Storage, Workspace
from collector.config.values import variable_of
from collector.model import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from collector.config.document import KeyPath

MAX_FILE = 4 * 2**20
"""Bytes: enough for thirty thousand apps."""


def load(path: Path, environ: Mapping[str, str], *, secrets: bool) -> Config:
    """Read, check and resolve the file at `path`.

    With `secrets`, the API keys are read from the environment and from key files, and a missing one is a mistake;
    without, each workspace's `api_key` is None. Raises ConfigError.
    """
    try:
        check = ConfigCheck(_read(path))
    except UnreadableError as error:
        raise ConfigError((Mistake(str(path), error.line, WHOLE_FILE, error.text),)) from None
    check_fields(check)
    check_names(check)
    check_metrics(check)
    check_order(check)
    check_wanted(check)
    check_storage(check)
    keys = check_keys(check, path.parent, environ, secrets=secrets)
    if mistakes := check.mistakes(str(path)):
        raise ConfigError(mistakes)
    warnings = tuple(str(Mistake(str(path), check.line(key), path_text(key), text)) for key, text in keys.warnings)
    return resolve(FileModel.model_validate(check.document.data), path.parent, keys.secrets, warnings)


def _read(path: Path) -> Document:
    document = read_document(_text(path))
    if document is None:
        raise UnreadableError(1, "is empty: write lake: and workspaces:, or start from a copy of config/collector.yaml")
    return document


def _text(path: Path) -> str:
    raw = _bytes(path)
    if len(raw) > MAX_FILE:
        raise UnreadableError(1, f"is larger than {MAX_FILE} bytes, which no config is: name another file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableError(line, "is not UTF-8 text: save the file as UTF-8") from None


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_FILE + 1).content
    except CannotRead as error:
        wrong = "there is no such file" if isinstance(error.__cause__, FileNotFoundError) else str(error)
        raise UnreadableError(1, f"{wrong}: name another file with --config FILE or $COLLECTOR_CONFIG") from None


_NESTED = ("lookback", "rate_limit", "retry")


def resolve(entry: FileModel, folder: Path, secrets: Mapping[KeyPath, Secret], warnings: tuple[str, ...]) -> Config:
    """Validated models to the Config. `secrets`: by the path of their workspace. Nothing fails here."""
    workspaces = tuple(
        _workspace(each, entry.defaults, secrets.get(("workspaces", index)))
        for index, each in enumerate(entry.workspaces)
    )
    limits = Limits(**entry.limits.model_dump(exclude_none=True)) if entry.limits else Limits()
    storage = Storage(**entry.storage.model_dump(exclude_none=True)) if entry.storage else Storage()
    return Config(_absolute(entry.lake, folder), workspaces, warnings, storage, limits, entry.require_lake or False)


def _absolute(lake: str, folder: Path) -> str:
    if "://" in lake:
        return lake
    path = folder.absolute() / lake
    try:
        return str(path.resolve())
    except (OSError, RuntimeError):  # links in a circle: opening the lake reports it
        return str(path)


def _workspace(entry: WorkspaceModel, defaults: SettingsModel | None, key: Secret | None) -> Workspace:
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
        key_variable=variable_of(entry.api_key) if entry.api_key else None,
        **settings,
    )


def _app(entry: AppModel) -> App:
    segments = None if entry.segments is None else tuple(entry.segments)
    return App(entry.name, entry.id, segments, entry.start, entry.end)


def _lookback(entry: WorkspaceModel, defaults: SettingsModel | None) -> Mapping[Unit, int]:
    own = {Unit(unit): count for unit, count in _merged("lookback", entry, defaults).items()}
    return MappingProxyType({**BUILT_IN.lookback, **own})


def _given(entry: SettingsModel | None) -> dict[str, Any]:
    """The settings that are written; not the nested ones, which are merged key by key."""
    if entry is None:
        return {}
    names = [name for name in SettingsModel.model_fields if name not in _NESTED]
    given = ((name, getattr(entry, name)) for name in names)
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in given if value is not None}
    return settings | ({"metrics": metric_choices(entry.metrics)} if entry.metrics is not None else {})


def _merged(name: str, *entries: SettingsModel | None) -> dict[str, Any]:
    """The keys of a nested mapping; the first model that has a key wins."""
    merged: dict[str, Any] = {}
    for entry in entries:
        nested: BaseModel | None = getattr(entry, name, None)
        if nested is not None:
            merged = nested.model_dump(exclude_none=True) | merged
    return merged
