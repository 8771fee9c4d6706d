"""What is wrong with a config file, as values, and what can still be relied on while it is checked.

A `Mistake` says where, which key, what is wrong and what to write. A `ConfigCheck` is one file that is being checked:
its data, the mistakes so far, and the paths that have one. The checks read values through it, and get None for what is
absent and for what has a mistake already. So no mistake causes a second message, and all others are found in one run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.config.values import quoted, read_date

if TYPE_CHECKING:
    from datetime import date

    from collector.config.document import Document, KeyPath, Position


WHOLE_FILE = "(file)"
"""In place of the key path where no key can be named."""

_PLAIN_KEY = re.compile(r"[\w-]{1,60}")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake. `file` as the user gave it, `line` from 1, `path` such as `workspaces[0].apps[1].id`."""

    file: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        """As compilers write it, so that editors can jump to it."""
        return f"{self.file}:{self.line}: {self.path}: {self.text}"


class ConfigError(Exception):
    """A config file that cannot be used, with all its mistakes, sorted by line."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


def path_text(path: KeyPath) -> str:
    """The path as users read it: `workspaces[0].apps[1].id`."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{_key(key)}" for key in path)
    return "".join(parts).removeprefix(".") or WHOLE_FILE


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else quoted(key)


class ConfigCheck:
    """One file that is being checked. A path with a mistake is invalid, and so is everything in it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found: dict[tuple[Position, str, str], KeyPath] = {}
        self._invalid: set[KeyPath] = set()
        self._around: set[KeyPath] = set()
        for flaw in document.mistakes.values():
            self._note(flaw.path, flaw.position, flaw.text)

    def mistake(self, path: KeyPath, text: str) -> None:
        """Note a mistake, unless the path has one already, or the same one was noted through an alias."""
        if path not in self._invalid:
            self._note(path, self.document.position(path), text)

    def mark_invalid(self, path: KeyPath) -> None:
        """Rely no longer on a path that has no mistake of its own."""
        self._invalid.add(path)
        self._around.update(path[:end] for end in range(len(path)))

    def _note(self, path: KeyPath, position: Position, text: str) -> None:
        # An absent key has the position of the mapping in which it is missing, where others may be missing as well.
        absent = "" if path in self.document.positions else path_text(path[-1:])
        self._found.setdefault((position, text, absent), path)
        self.mark_invalid(path)

    def mistakes(self, file: str) -> tuple[Mistake, ...]:
        """All mistakes, sorted by line."""
        found = sorted((position, path_text(path), text) for (position, text, _), path in self._found.items())
        return tuple(Mistake(file, position[0], path, text) for position, path, text in found)

    def is_invalid(self, path: KeyPath) -> bool:
        """Whether the path itself, or something that contains it, has a mistake."""
        return any(path[:end] in self._invalid for end in range(len(path) + 1))

    def is_valid(self, path: KeyPath) -> bool:
        """Whether neither the path, nor what contains it, nor anything in it has a mistake."""
        return path not in self._around and not self.is_invalid(path)

    def has(self, path: KeyPath) -> bool:
        """Whether there is a value, valid or not."""
        return path in self._invalid or self.raw(path) is not None

    def get(self, path: KeyPath) -> object:
        """The value; None where there is none, or an invalid one."""
        return None if self.is_invalid(path) else self.raw(path)

    def text(self, path: KeyPath) -> str | None:
        """The value, if it is text."""
        value = self.get(path)
        return value if isinstance(value, str) else None

    def day(self, path: KeyPath) -> date | None:
        """The value, if it is a date."""
        text = self.text(path)
        return None if text is None else read_date(text)

    def items(self, path: KeyPath) -> list[KeyPath]:
        """The paths of the items, if the value is a list."""
        value = self.get(path)
        return [(*path, index) for index in range(len(value))] if isinstance(value, list) else []

    def workspaces(self) -> list[KeyPath]:
        """The paths of all workspaces that are mappings."""
        return [path for path in self.items(("workspaces",)) if isinstance(self.get(path), dict)]

    def line(self, path: KeyPath) -> int:
        """The line of the path."""
        return self.document.position(path)[0]

    def raw(self, path: KeyPath) -> object:
        """The value, valid or not; None where there is none."""
        value = self.document.data
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value
