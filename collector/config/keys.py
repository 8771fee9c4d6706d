"""The last check: each workspace's API key, referred to rightly and, where the command sends requests, there.

In: a draft, the config file's folder, the environment. Out: the keys as Secrets, warnings, and mistakes noted on the
way. No message ever shows a key. Keys are read only where `secrets` is asked for: analysts need none.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from collector.config.endpoint import read_endpoint
from collector.config.mistake import KeyPath, written
from collector.config.settings import Secret
from collector.config.values import variable_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.config.draft import Draft

_LONGEST_KEY = 4096
_QUOTES = "\"'`"


@dataclass(slots=True)
class Keys:
    """The keys by their workspace's path, and what is worth a warning: pairs of key path and sentence."""

    secrets: dict[KeyPath, Secret] = field(default_factory=dict)
    warnings: list[tuple[KeyPath, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Reference:
    """Where a workspace's key is to be found: the `path` of the key that says it, and a variable or a file."""

    path: KeyPath
    source: str | Path


def check_keys(draft: Draft, folder: Path, environ: Mapping[str, str], *, secrets: bool) -> Keys:
    """Note every mistake about keys; read them where asked to."""
    keys = Keys()
    seen: dict[tuple[str, str | Path | Secret], KeyPath] = {}
    for workspace in draft.workspaces():
        reference = _reference(draft, workspace, folder)
        if reference is None:
            continue
        _check_pool(draft, seen, workspace, reference.path, reference.source)
        if secrets and not draft.spoiled(reference.path):
            key = _read(draft, keys, reference, environ)
            if key is not None:
                keys.secrets[workspace] = key
                _check_pool(draft, seen, workspace, reference.path, key)
    return keys


def _reference(draft: Draft, workspace: KeyPath, folder: Path) -> _Reference | None:
    named, filed = (*workspace, "api_key"), (*workspace, "api_key_file")
    if draft.has(named) and draft.has(filed):
        draft.mistake(filed, "stands beside api_key: keep one of the two")
        return None
    if not draft.has(named) and not draft.has(filed):
        draft.mistake(named, "is missing: write `api_key: ${NAME_OF_VARIABLE}`, or `api_key_file: FILE`")
        return None
    text, file = draft.text(named), draft.text(filed)
    if file is not None:
        return _Reference(filed, folder / file)
    variable = variable_of(text) if text is not None else None
    return _Reference(named, variable) if variable else None


def _check_pool(
    draft: Draft,
    seen: dict[tuple[str, str | Path | Secret], KeyPath],
    workspace: KeyPath,
    path: KeyPath,
    source: str | Path | Secret,
) -> None:
    endpoint = draft.text((*workspace, "endpoint"))
    if endpoint is None:
        return
    first = seen.setdefault((read_endpoint(endpoint), source), workspace)
    # Under one and the same name it is a workspace written twice, which is told already.
    if first != workspace and draft.raw((*first, "name")) != draft.raw((*workspace, "name")):
        line, other = draft.line(first), draft.text((*first, "name"))
        draft.mistake(
            path,
            f"same key and endpoint as {other or written(first)} in line {line}, so one pool: "
            "merge the two workspaces, or write this one's own key",
        )


def _read(draft: Draft, keys: Keys, reference: _Reference, environ: Mapping[str, str]) -> Secret | None:
    if isinstance(reference.source, Path):
        text = _from_file(draft, keys, reference.path, reference.source)
    else:
        text = _from_variable(draft, reference.path, reference.source, environ)
    if text is None:
        return None
    wrong = _flaw(text)
    if wrong:
        draft.mistake(reference.path, f"the key there {wrong}: write the bare key there")
        return None
    return Secret(text)


def _from_variable(draft: Draft, path: KeyPath, variable: str, environ: Mapping[str, str]) -> str | None:
    text = environ.get(variable)
    if text:
        return text
    wrong = "is not set" if text is None else "is empty"
    draft.mistake(path, f"the environment variable {variable} {wrong}: export {variable}=KEY before the run")
    return None


def _from_file(draft: Draft, keys: Keys, path: KeyPath, file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_LONGEST_KEY + 1)
            mode = file.stat().st_mode
        text = raw.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no text"
        draft.mistake(path, f"the file cannot be read ({reason}): write the path of a file that holds the key alone")
        return None
    if not text:
        draft.mistake(path, "the file is empty: write the key into it")
        return None
    if stat.S_IMODE(mode) & 0o077:
        keys.warnings.append((path, "others than its owner may read the key's file: chmod 600 it"))
    return text


def _flaw(key: str) -> str | None:
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        return "stands in quotes, which Braze would take for a part of it"
    if len(key) > _LONGEST_KEY:
        return f"is longer than {_LONGEST_KEY} characters"
    if any(not "!" <= character <= "~" for character in key):
        return "holds a blank, a line break or another character that no key has"
    return None
