"""The first check: every key by itself, against the schema. pydantic finds the mistakes, this module words them.

In: a file that is being checked. Out: a mistake for each unknown key, missing key, wrong type and value out of range.
Values are shown where that helps, but never that of `api_key`.

It is a module of its own, apart from `mistakes.py`, since it needs pydantic, which `collector --help` must not load.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from collector.config.schema import (
    FileModel,
    LimitsModel,
    LookbackModel,
    RateLimitModel,
    RetryModel,
    SettingsModel,
    StorageModel,
    WorkspaceModel,
)
from collector.config.values import (
    KEY_NOT_A_REFERENCE,
    TYPOGRAPHIC,
    credential_advice,
    has_quotes_around,
    quoted,
    without_quotes,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from collector.config.document import KeyPath
    from collector.config.mistakes import ConfigCheck

_WANTED = {
    "string_type": "text",
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a number",
    "list_type": "a list",
    "model_type": "a mapping",
    "bool_type": "true or false",
}

_EMPTY = {
    "units": "write [day], [hour] or both",
    "scopes": "write some of app, app_segment, workspace, workspace_segment",
    "apps": "write at least one app",
    "events": "write the name of an event",
    "workspaces": "write at least one workspace",
}


def check_fields(check: ConfigCheck) -> None:
    """Note every mistake of a single key."""
    try:
        FileModel.model_validate(check.document.data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # Unknown keys first: a misspelled key also explains why the right key is missing.
        for detail in sorted(found, key=lambda each: each["type"] != "extra_forbidden"):
            _note(check, detail)


def _note(check: ConfigCheck, detail: ErrorDetails) -> None:
    path: KeyPath = detail["loc"]
    if detail["type"] == "extra_forbidden":
        _note_unknown(check, path)
    elif detail["type"] == "missing" and not check.is_invalid(path):
        check.mistake(path, f"is missing: write `{path[-1]}: {example_of(path)}`")
    elif detail["type"] != "missing":
        check.mistake(path, _sentence(check, path, detail))


def _note_unknown(check: ConfigCheck, path: KeyPath) -> None:
    parent, key = path[:-1], str(path[-1])
    if parent == ("storage",) and (advice := credential_advice(key)):
        check.mistake(path, advice)
        return
    place = where_key_belongs(key)
    if place is not None:
        check.mistake(path, f"does not belong here: write it {place}")
        _mark_invalid_elsewhere(check, parent, key)
        return
    if without_quotes(key) in known_keys(parent):
        check.mistake(path, f"has typographic quotes: write {without_quotes(key)}")
        check.mark_invalid((*parent, without_quotes(key)))
        return
    nearest = suggest_key(key, parent)
    if nearest is None:
        check.mistake(path, f"unknown key: write one of {', '.join(known_keys(parent))}, or remove it")
    elif check.has((*parent, nearest)):
        check.mistake(path, f"unknown key, and {nearest} is already here: remove it")
    else:
        check.mistake(path, f"unknown key: write {nearest}")
        check.mark_invalid((*parent, nearest))


def _mark_invalid_elsewhere(check: ConfigCheck, parent: KeyPath, key: str) -> None:
    """A key in the wrong place is not reported as missing in the right one."""
    if key in FileModel.model_fields and not check.has((key,)):
        check.mark_invalid((key,))
    if key in WorkspaceModel.model_fields and parent in ((), ("defaults",)):
        for workspace in check.workspaces():
            if not check.has((*workspace, key)):
                check.mark_invalid((*workspace, key))


def _sentence(check: ConfigCheck, path: KeyPath, detail: ErrorDetails) -> str:
    kind = detail["type"]
    found = detail["input"]
    if isinstance(found, str) and has_quotes_around(found):
        return TYPOGRAPHIC  # whatever else is wrong, this comes first
    if path[-1:] == ("api_key",):
        return KEY_NOT_A_REFERENCE
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind in _WANTED:
        return _wrong_type(check, path, _WANTED[kind], detail["input"])
    if kind == "enum":
        return _unknown_word(check, path, detail)
    if kind == "too_short":
        advice = _EMPTY.get(str(path[-1]), "write an item")
        return f"an empty list is not allowed here: {advice}" + (
            "" if path == ("workspaces",) else ", or remove the key"
        )
    if kind.startswith(("greater_than", "less_than")):
        found = _describe(detail["input"], check.document.texts.get(path)).removeprefix("the number ")
        return f"is {found}, which is out of range: write {_range(path)}"
    return f"cannot be read: write {_advice(path)}"


def _wrong_type(check: ConfigCheck, path: KeyPath, wanted: str, found: object) -> str:
    source = check.document.texts.get(path)
    if not path:
        return f"is {_describe(found, source)}: write a mapping with lake: and workspaces:"
    if wanted == "text" and isinstance(found, bool | int | float):
        return f"must be text, not {_describe(found, source)}: put it in quotes"
    return f"must be {wanted}, not {_describe(found, source)}: write {_advice(path)}"


def _advice(path: KeyPath) -> str:
    if isinstance(path[-1], int):
        example = field_at(path[:-1]).examples or [[""]]
        return f"`- {to_flow_yaml(example[0][0])}`" if isinstance(example[0], list) else "another value"
    return f"`{path[-1]}: {example_of(path)}`"


def _unknown_word(check: ConfigCheck, path: KeyPath, detail: ErrorDetails) -> str:
    words = str(detail["ctx"]["expected"]).replace("'", "")
    name = next((key for key in reversed(path) if isinstance(key, str)), "")
    one = name.removesuffix("s") if isinstance(path[-1], int) else name
    found = detail["input"]
    what = quoted(found) if isinstance(found, str) else _describe(found, check.document.texts.get(path))
    return f"unknown {one} {what}: write {words}"


def _range(path: KeyPath) -> str:
    bounds = field_at(path).metadata
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    found = ((word, getattr(bound, name, None)) for bound in bounds for name, word in words.items())
    return " and ".join(f"{word} {limit}" for word, limit in found if limit is not None)


_SYNONYMS = {
    "url": "endpoint", "host": "endpoint", "base_url": "endpoint", "instance": "endpoint",
    "key": "api_key", "token": "api_key", "secret": "api_key", "key_file": "api_key_file",
    "tz": "timezone", "zone": "timezone", "time_zone": "timezone",
    "app_id": "id", "segment_id": "id", "identifier": "id", "title": "name", "label": "name",
    "from": "start", "since": "start", "to": "end", "until": "end",
    "timeout": "timeout_seconds", "retries": "retry", "output": "lake", "path": "lake",
}  # fmt: skip
"""What people write, and difflib does not find."""


def model_at(path: KeyPath) -> type[BaseModel] | None:
    """The model of the mapping at a path; None where the schema has none."""
    model: type[BaseModel] | None = FileModel
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
    """The example of the key at a path, as it is written after the colon."""
    return to_flow_yaml((field_at(path).examples or [""])[0])


def to_flow_yaml(value: object) -> str:
    """A value in YAML's one-line form."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {to_flow_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_flow_yaml, value)) + "]"
    return str(value)


def suggest_key(key: str, parent: KeyPath) -> str | None:
    """The known key of the mapping at `parent` that is probably meant by an unknown one."""
    known = known_keys(parent)
    plain = key.strip().lower().replace("-", "_").replace(" ", "_")
    if _SYNONYMS.get(plain) in known:
        return _SYNONYMS[plain]
    found = get_close_matches(plain[:60], known, n=1)
    return found[0] if found else None


def where_key_belongs(key: str) -> str | None:
    """Where a key belongs that is unknown where it is written; None for a key that is unknown everywhere."""
    return _PLACES.get(key)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


_PLACES = (
    dict.fromkeys(StorageModel.model_fields, "under storage")
    | dict.fromkeys(set(WorkspaceModel.model_fields) - {"name"}, "in a workspace")
    | dict.fromkeys(SettingsModel.model_fields, "under defaults, or in a workspace")
    | dict.fromkeys(FileModel.model_fields, "at the top of the file")
    | dict.fromkeys(LookbackModel.model_fields, "under lookback")
    | dict.fromkeys(RateLimitModel.model_fields, "under rate_limit")
    | dict.fromkeys(RetryModel.model_fields, "under retry")
    | dict.fromkeys(LimitsModel.model_fields, "under limits")
)


def _describe(value: object, text: str | None) -> str:
    """A value of the wrong type, for a message: `the number 7`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"{'true' if value else 'false'}, as YAML reads {quoted(text or '')}"
        case int() | float():
            return f"the number {(text or str(value))[:40]}"
        case str():
            return f"the text {quoted(value)}"
        case list():
            return "a list"
    return "a mapping"
