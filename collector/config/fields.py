"""The first check: every key by itself, against the file's shape. pydantic finds the mistakes, this module words them.

In: a draft. Out: the draft with a mistake for each unknown key, missing key, wrong type and value out of range. Values
are shown where they help, but never that of `api_key`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from collector.config.file import FileEntry, WorkspaceEntry
from collector.config.mistake import KeyPath, shown
from collector.config.shape import example_of, field_at, flow, known_keys, nearest_key, place_of
from collector.config.storage import credential_advice
from collector.config.tree import describe
from collector.config.values import LITERAL_KEY

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from collector.config.draft import Draft

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "list_type": "a list",
    "model_type": "a mapping",
}

_EMPTY = {
    "units": "write [day], [hour] or both",
    "scopes": "write some of app, app_segment, workspace, workspace_segment",
    "apps": "write at least one app",
    "workspaces": "write at least one workspace",
}


def check_fields(draft: Draft) -> None:
    """Note every mistake that a key has by itself."""
    try:
        FileEntry.model_validate(draft.tree.data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # Unknown keys first: one that is a misspelt known key also tells why that one is missing.
        for detail in sorted(found, key=lambda each: each["type"] != "extra_forbidden"):
            _note(draft, detail)


def _note(draft: Draft, detail: ErrorDetails) -> None:
    path: KeyPath = detail["loc"]
    if detail["type"] == "extra_forbidden":
        _note_unknown(draft, path)
    elif detail["type"] == "missing" and not draft.spoiled(path):
        draft.mistake(path, f"is missing: write `{path[-1]}: {example_of(path)}`")
    elif detail["type"] != "missing":
        draft.mistake(path, _sentence(draft, path, detail))


def _note_unknown(draft: Draft, path: KeyPath) -> None:
    parent, key = path[:-1], str(path[-1])
    if parent == ("storage",) and (advice := credential_advice(key)):
        draft.mistake(path, advice)
        return
    place = place_of(key)
    if place is not None:
        draft.mistake(path, f"does not belong here: write it {place}")
        _spoil_elsewhere(draft, parent, key)
        return
    nearest = nearest_key(key, parent)
    if nearest is None:
        draft.mistake(path, f"unknown key: write one of {', '.join(known_keys(parent))}, or remove it")
    elif draft.has((*parent, nearest)):
        draft.mistake(path, f"unknown key, and {nearest} stands here already: remove it")
    else:
        draft.mistake(path, f"unknown key: write {nearest}")
        draft.spoil((*parent, nearest))


def _spoil_elsewhere(draft: Draft, parent: KeyPath, key: str) -> None:
    """What stands in the wrong place is not missed in the right one."""
    if key in FileEntry.model_fields and not draft.has((key,)):
        draft.spoil((key,))
    if key in WorkspaceEntry.model_fields and parent in ((), ("defaults",)):
        for workspace in draft.workspaces():
            if not draft.has((*workspace, key)):
                draft.spoil((*workspace, key))


def _sentence(draft: Draft, path: KeyPath, detail: ErrorDetails) -> str:
    kind = detail["type"]
    if path[-1:] == ("api_key",):
        return LITERAL_KEY
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind in _WANTED:
        return _wrong_type(draft, path, _WANTED[kind], detail["input"])
    if kind == "enum":
        return _unknown_word(draft, path, detail)
    if kind == "too_short":
        advice = _EMPTY.get(str(path[-1]), "write an item")
        return f"an empty list means nothing here: {advice}" + (
            "" if path == ("workspaces",) else ", or remove the key"
        )
    if kind.startswith(("greater_than", "less_than")):
        found = describe(detail["input"], draft.tree.texts.get(path)).removeprefix("the number ")
        return f"is {found}, which is out of range: write {_range(path)}"
    return f"cannot be read: write {_advice(path)}"


def _wrong_type(draft: Draft, path: KeyPath, wanted: str, found: object) -> str:
    source = draft.tree.texts.get(path)
    if not path:
        return f"is {describe(found, source)}: write a mapping with lake: and workspaces:"
    if wanted == "text" and isinstance(found, bool | int | float):
        return f"must be text, not {describe(found, source)}: put it in quotes"
    return f"must be {wanted}, not {describe(found, source)}: write {_advice(path)}"


def _advice(path: KeyPath) -> str:
    if isinstance(path[-1], int):
        example = field_at(path[:-1]).examples or [[""]]
        return f"`- {flow(example[0][0])}`" if isinstance(example[0], list) else "another value"
    return f"`{path[-1]}: {example_of(path)}`"


def _unknown_word(draft: Draft, path: KeyPath, detail: ErrorDetails) -> str:
    words = str(detail["ctx"]["expected"]).replace("'", "")
    name = next((key for key in reversed(path) if isinstance(key, str)), "")
    one = name.removesuffix("s") if isinstance(path[-1], int) else name
    found = detail["input"]
    what = shown(found) if isinstance(found, str) else describe(found, draft.tree.texts.get(path))
    return f"unknown {one} {what}: write {words}"


def _range(path: KeyPath) -> str:
    bounds = field_at(path).metadata
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    found = ((word, getattr(bound, name, None)) for bound in bounds for name, word in words.items())
    return " and ".join(f"{word} {limit}" for word, limit in found if limit is not None)
