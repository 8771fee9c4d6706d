"""Read a config file: bytes to the frozen Config, or all its mistakes at once.

In: a path and the environment. Out: a Config, or ConfigError with every mistake, sorted by line; nothing else is
raised, whatever the file holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.config.draft import Draft
from collector.config.fields import check_fields
from collector.config.file import FileEntry
from collector.config.keys import check_keys
from collector.config.mistake import WHOLE_FILE, ConfigError, Mistake, UnreadableError, written
from collector.config.names import check_names
from collector.config.nodes import parse
from collector.config.order import check_order
from collector.config.resolve import resolve
from collector.config.storage import check_storage
from collector.config.tree import Tree, grow
from collector.config.wanted import check_wanted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from collector.config.settings import Config

LARGEST_FILE = 4 * 2**20
"""Bytes: some thirty thousand apps."""


def load(path: Path, environ: Mapping[str, str], *, secrets: bool) -> Config:
    """Read, check and resolve the file at `path`.

    With `secrets`, the API keys are read from the environment and from key files, and a missing one is a mistake;
    without, each workspace's `api_key` is None. Raises ConfigError.
    """
    try:
        draft = Draft(_read(path))
    except UnreadableError as error:
        raise ConfigError((Mistake(str(path), error.line, WHOLE_FILE, error.text),)) from None
    check_fields(draft)
    check_names(draft)
    check_order(draft)
    check_wanted(draft)
    check_storage(draft)
    keys = check_keys(draft, path.parent, environ, secrets=secrets)
    if mistakes := draft.mistakes(str(path)):
        raise ConfigError(mistakes)
    warnings = tuple(str(Mistake(str(path), draft.line(key), written(key), text)) for key, text in keys.warnings)
    return resolve(FileEntry.model_validate(draft.tree.data), path.parent, keys.secrets, warnings)


def _read(path: Path) -> Tree:
    root = parse(_text(path))
    if root is None:
        raise UnreadableError(1, "is empty: write lake: and workspaces:, or begin with a copy of config/collector.yaml")
    return grow(root)


def _text(path: Path) -> str:
    raw = _bytes(path)
    if len(raw) > LARGEST_FILE:
        raise UnreadableError(1, f"is larger than {LARGEST_FILE} bytes, so hardly a config: name another file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableError(line, "is not UTF-8 text: save the file as UTF-8") from None


def _bytes(path: Path) -> bytes:
    another = "name another with --config FILE or $COLLECTOR_CONFIG"
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise UnreadableError(1, f"there is no such file: {another}") from None
    except IsADirectoryError:
        raise UnreadableError(1, f"is a folder: {another}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise UnreadableError(1, f"cannot be read ({reason}): {another}") from None
