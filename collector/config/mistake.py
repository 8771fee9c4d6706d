"""What is wrong with a config file, as values: where, which key, and a sentence that says what to write."""

from __future__ import annotations

import re
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of mappings and places in lists, as in ("workspaces", 0, "apps", 1, "id")."""

WHOLE_FILE = "(file)"
"""Stands for the key path where no key can be named."""

_PLAIN_KEY = re.compile(r"[\w-]{1,60}")
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake. `file` as the user gave it, `line` from 1, `path` as `workspaces[0].apps[1].id`."""

    file: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        """Write it the way compilers do, so that editors can jump to it."""
        return f"{self.file}:{self.line}: {self.path}: {self.text}"


class ConfigError(Exception):
    """A config file that cannot be used, with all its mistakes, sorted by line."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


class UnreadableError(Exception):
    """What keeps a file from being read at all, so that nothing else can be said of it."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


def written(path: KeyPath) -> str:
    """The path as the user reads it: `workspaces[0].apps[1].id`."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{_key(key)}" for key in path)
    return "".join(parts).removeprefix(".") or WHOLE_FILE


def shown(text: str) -> str:
    """A value in quotes for a message: on one line, cut where it is long, nothing unprintable in it."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…")


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else shown(key)
