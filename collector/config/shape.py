"""Questions about the file's shape: which keys a mapping knows, what a key looks like, which key was meant.

In: key paths. Out: names and examples, all read from the classes of `file.py`.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from collector.config.file import (
    FileEntry,
    LookbackEntry,
    RateLimitEntry,
    RetryEntry,
    SettingsEntry,
    StorageEntry,
    WorkspaceEntry,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from collector.config.mistake import KeyPath

_SYNONYMS = {
    "url": "endpoint", "host": "endpoint", "base_url": "endpoint", "instance": "endpoint",
    "key": "api_key", "token": "api_key", "secret": "api_key", "key_file": "api_key_file",
    "tz": "timezone", "zone": "timezone", "time_zone": "timezone",
    "app_id": "id", "segment_id": "id", "identifier": "id", "title": "name", "label": "name",
    "from": "start", "since": "start", "to": "end", "until": "end",
    "timeout": "timeout_seconds", "retries": "retry", "output": "lake", "path": "lake",
}  # fmt: skip
"""What people write, and difflib would not find."""


def model_at(path: KeyPath) -> type[BaseModel] | None:
    """The class of the mapping at a path, None where the shape has none."""
    model: type[BaseModel] | None = FileEntry
    for key in path:
        if isinstance(key, str):
            field = model.model_fields.get(key) if model else None
            model = _model_in(field.annotation) if field else None
    return model


def known_keys(path: KeyPath) -> tuple[str, ...]:
    """The keys of the mapping at a path."""
    model = model_at(path)
    return tuple(model.model_fields) if model else ()


def field_at(path: KeyPath) -> FieldInfo:
    """The description of the key at a path."""
    model = model_at(path[:-1])
    if model is None:
        raise KeyError(path)
    return model.model_fields[str(path[-1])]


def example_of(path: KeyPath) -> str:
    """The example of the key at a path, as one would write it after the colon."""
    return flow((field_at(path).examples or [""])[0])


def flow(value: object) -> str:
    """A value in YAML's one-line form."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return str(value)


def nearest_key(key: str, parent: KeyPath) -> str | None:
    """The known key of the mapping at `parent` that an unknown one probably stands for."""
    known = known_keys(parent)
    plain = key.strip().lower().replace("-", "_").replace(" ", "_")
    if _SYNONYMS.get(plain) in known:
        return _SYNONYMS[plain]
    found = get_close_matches(plain[:60], known, n=1)
    return found[0] if found else None


def place_of(key: str) -> str | None:
    """Where a key belongs that is unknown where it stands; None where it is unknown everywhere, or known in many."""
    return _PLACES.get(key)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


_PLACES = (
    dict.fromkeys(StorageEntry.model_fields, "under storage")
    | dict.fromkeys(set(WorkspaceEntry.model_fields) - {"name"}, "in a workspace")
    | dict.fromkeys(SettingsEntry.model_fields, "under defaults, or in a workspace")
    | dict.fromkeys(FileEntry.model_fields, "at the top of the file")
    | dict.fromkeys(LookbackEntry.model_fields, "under lookback")
    | dict.fromkeys(RateLimitEntry.model_fields, "under rate_limit")
    | dict.fromkeys(RetryEntry.model_fields, "under retry")
)
