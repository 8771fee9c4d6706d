"""The last check: the API key of each workspace is referred to correctly and, for commands that send requests, exists.

In: a file that is being checked, its folder, the environment. Out: the keys as Secrets, warnings, and mistakes. No
message ever shows a key. Keys are read only where the command needs them: analysts have none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from collector.config.endpoint import read_endpoint
from collector.config.files import CannotRead, read_regular
from collector.config.mistakes import path_text
from collector.config.settings import Secret
from collector.config.values import variable_of, without_quotes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.config.document import KeyPath
    from collector.config.mistakes import ConfigCheck

_MAX_KEY = 4096
_QUOTES = "\"'`"


@dataclass(slots=True)
class ApiKeys:
    """The keys by the path of their workspace, and warnings: pairs of key path and sentence."""

    secrets: dict[KeyPath, Secret] = field(default_factory=dict)
    warnings: list[tuple[KeyPath, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Reference:
    """Where a workspace's key is: in a variable or a file. `path`: of the config key that says so."""

    path: KeyPath
    source: str | Path


def check_keys(check: ConfigCheck, folder: Path, environ: Mapping[str, str], *, secrets: bool) -> ApiKeys:
    """Note every mistake about keys. With `secrets`, read them."""
    keys = ApiKeys()
    seen: dict[tuple[str, str | Path | Secret], KeyPath] = {}
    for workspace in check.workspaces():
        reference = _reference(check, workspace, folder)
        if reference is None:
            continue
        _check_quota(check, seen, workspace, reference.path, reference.source)
        if secrets and not check.is_invalid(reference.path):
            key = _read(check, keys, reference, environ)
            if key is not None:
                keys.secrets[workspace] = key
                _check_quota(check, seen, workspace, reference.path, key)
    return keys


def _reference(check: ConfigCheck, workspace: KeyPath, folder: Path) -> _Reference | None:
    named, filed = (*workspace, "api_key"), (*workspace, "api_key_file")
    if check.has(named) and check.has(filed):
        check.mistake(filed, "is written beside api_key: remove one of the two")
        return None
    if not check.has(named) and not check.has(filed):
        check.mistake(named, "is missing: write `api_key: ${NAME_OF_VARIABLE}`, or `api_key_file: FILE`")
        return None
    text, file = check.text(named), check.text(filed)
    if file is not None:
        return _Reference(filed, folder / file)
    variable = variable_of(text) if text is not None else None
    return _Reference(named, variable) if variable else None


def _check_quota(
    check: ConfigCheck,
    seen: dict[tuple[str, str | Path | Secret], KeyPath],
    workspace: KeyPath,
    path: KeyPath,
    source: str | Path | Secret,
) -> None:
    endpoint = check.text((*workspace, "endpoint"))
    if endpoint is None:
        return
    first = seen.setdefault((read_endpoint(endpoint), source), workspace)
    # Under the same name it is a workspace that is written twice, which is a mistake already.
    if first != workspace and check.raw((*first, "name")) != check.raw((*workspace, "name")):
        line, other = check.line(first), check.text((*first, "name"))
        check.mistake(
            path,
            f"same key and endpoint as {other or path_text(first)} in line {line}, which is one quota: "
            "merge the two workspaces, or write the key of this one",
        )


def _read(check: ConfigCheck, keys: ApiKeys, reference: _Reference, environ: Mapping[str, str]) -> Secret | None:
    if isinstance(reference.source, Path):
        text = _from_file(check, keys, reference.path, reference.source)
    else:
        text = _from_variable(check, reference.path, reference.source, environ)
    if text is None:
        return None
    wrong = _key_error(text)
    if wrong:
        check.mistake(reference.path, f"the key there {wrong}: write only the key there")
        return None
    return Secret(text)


def _from_variable(check: ConfigCheck, path: KeyPath, variable: str, environ: Mapping[str, str]) -> str | None:
    text = environ.get(variable)
    if text:
        return text
    wrong = "is not set" if text is None else "is empty"
    check.mistake(path, f"the environment variable {variable} {wrong}: export {variable}=KEY before the run")
    return None


def _from_file(check: ConfigCheck, keys: ApiKeys, path: KeyPath, file: Path) -> str | None:
    advice = "write the path of a file that holds only the key"
    try:
        found = read_regular(file, _MAX_KEY + 1)
        text = found.content.decode().rstrip("\r\n")
    except (CannotRead, UnicodeDecodeError) as error:
        # Not the path: somebody may have written the key itself there.
        wrong = str(error) if isinstance(error, CannotRead) else "cannot be read (not text)"
        check.mistake(path, f"the file {wrong}: {advice}")
        return None
    if not text:
        check.mistake(path, "the file is empty: write the key into it")
        return None
    if found.permissions & 0o077:
        keys.warnings.append((path, "the key file is readable by other users: run chmod 600 on it"))
    return text


def _key_error(key: str) -> str | None:
    if key[0] in _QUOTES or key[-1] in _QUOTES or without_quotes(key) != key:
        return "has quotes around it, which Braze would read as a part of it"
    if len(key) > _MAX_KEY:
        return f"is longer than {_MAX_KEY} characters"
    if any(not "!" <= character <= "~" for character in key):
        return "contains a space, a line break or another invalid character"
    return None
