"""A file under examination: its plain data, the mistakes found so far, and what can still be relied on.

The checks read values through it, and get None for what is absent and for what has a mistake already: so a mistake
never drags a second message behind it, and every other mistake is found in the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.config.mistake import KeyPath, Mistake, written
from collector.config.values import read_date

if TYPE_CHECKING:
    from datetime import date

    from collector.config.nodes import Spot
    from collector.config.tree import Tree


class Draft:
    """One file's tree and mistakes. Paths that have a mistake are spoiled; those around one are not whole."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._found: dict[tuple[Spot, str, str], KeyPath] = {}
        self._spoiled: set[KeyPath] = set()
        self._around: set[KeyPath] = set()
        for flaw in tree.flaws.values():
            self._note(flaw.path, flaw.spot, flaw.text)

    def mistake(self, path: KeyPath, text: str) -> None:
        """Note a mistake, unless the very same path has one, or the same words were reached through an alias."""
        if path not in self._spoiled:
            self._note(path, self.tree.spot(path), text)

    def spoil(self, path: KeyPath) -> None:
        """Rely no longer on a path, without a mistake of its own."""
        self._spoiled.add(path)
        self._around.update(path[:end] for end in range(len(path)))

    def _note(self, path: KeyPath, spot: Spot, text: str) -> None:
        # An absent key has the spot of the mapping it is missed in, where others may be missed too.
        absent = "" if path in self.tree.spots else written(path[-1:])
        self._found.setdefault((spot, text, absent), path)
        self.spoil(path)

    def mistakes(self, file: str) -> tuple[Mistake, ...]:
        """All mistakes, sorted by line."""
        found = sorted((spot, written(path), text) for (spot, text, _), path in self._found.items())
        return tuple(Mistake(file, spot[0], path, text) for spot, path, text in found)

    def spoiled(self, path: KeyPath) -> bool:
        """Whether the path itself or something that it lies in has a mistake."""
        return any(path[:end] in self._spoiled for end in range(len(path) + 1))

    def whole(self, path: KeyPath) -> bool:
        """Whether neither the path, nor what it lies in, nor anything in it has a mistake."""
        return path not in self._around and not self.spoiled(path)

    def has(self, path: KeyPath) -> bool:
        """Whether something stands there, well written or not."""
        return path in self._spoiled or self.raw(path) is not None

    def get(self, path: KeyPath) -> object:
        """What stands there; None where nothing does, or nothing to rely on."""
        return None if self.spoiled(path) else self.raw(path)

    def text(self, path: KeyPath) -> str | None:
        """The text that stands there, if text does."""
        value = self.get(path)
        return value if isinstance(value, str) else None

    def day(self, path: KeyPath) -> date | None:
        """The date that stands there, if one does."""
        text = self.text(path)
        return None if text is None else read_date(text)

    def items(self, path: KeyPath) -> list[KeyPath]:
        """The paths of the items of the list that stands there."""
        value = self.get(path)
        return [(*path, index) for index in range(len(value))] if isinstance(value, list) else []

    def workspaces(self) -> list[KeyPath]:
        """The paths of all workspaces that are mappings."""
        return [path for path in self.items(("workspaces",)) if isinstance(self.get(path), dict)]

    def line(self, path: KeyPath) -> int:
        """The line that the path stands in."""
        return self.tree.spot(path)[0]

    def raw(self, path: KeyPath) -> object:
        """What stands there, mistake or not; None where nothing does."""
        value = self.tree.data
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value
