"""Nodes to plain data, and for each key path where it stands in the file.

In: nodes (see `nodes.py`). Out: dicts, lists, text, numbers, booleans and None, with the spot and the source text of
each path, and the flaws of the YAML itself (a key that stands twice). Aliases and merge keys (`<<`) are expanded, up to
a bound. Dates stay text, and so does what YAML 1.1 would read as a number in base 60 (`10:30`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml
from yaml.constructor import SafeConstructor

from collector.config.mistake import KeyPath, UnreadableError, shown
from collector.config.nodes import LISTING, MAPPING, MAX_DEPTH, TAG, TEXT, Listing, Node, Pairs, Scalar, Spot

MAX_VALUES = 300_000
"""Values in a file once its aliases are expanded: room for tens of thousands of apps, none for a billion laughs."""

_HUGE = 10**40
_TAGGED = "has a YAML tag (!), which means nothing here: remove it"
_MERGE = f"{TAG}merge"
_CONSTRUCTOR = SafeConstructor()

Entries = dict[str, tuple[Spot, Node]]


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong with the YAML at one spot."""

    path: KeyPath
    spot: Spot
    text: str


@dataclass(slots=True)
class Tree:
    """Plain data with its places. `texts` holds the source text of single values."""

    data: object = None
    spots: dict[KeyPath, Spot] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    flaws: dict[Spot, Flaw] = field(default_factory=dict)

    def spot(self, path: KeyPath) -> Spot:
        """Where the path stands; for one that does not, where the nearest part of it does."""
        while path and path not in self.spots:
            path = path[:-1]
        return self.spots.get(path, (1, 0))


def grow(root: Node) -> Tree:
    """Expand the nodes; UnreadableError where that would never end."""
    tree = Tree()
    tree.data = _Expansion(tree).value(root, ())
    return tree


class _Expansion:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._values = 0

    def value(self, node: Node, path: KeyPath) -> object:
        self._count(node.spot, len(path))
        if isinstance(node, Scalar):
            self._tree.texts[path] = node.text
            return self._scalar(node, path)
        if node.tag not in (MAPPING, LISTING):
            self._flaw(path, node.spot, _TAGGED)
            return None
        if isinstance(node, Listing):
            return [self._child(item, (*path, index), spot) for index, (spot, item) in enumerate(node.items)]
        entries = self._entries(node, path, 0)
        return {key: self._child(child, (*path, key), spot) for key, (spot, child) in entries.items()}

    def _child(self, node: Node, path: KeyPath, spot: Spot) -> object:
        self._tree.spots[path] = spot
        return self.value(node, path)

    def _entries(self, node: Pairs, path: KeyPath, depth: int) -> Entries:
        entries: Entries = {}
        merged: list[Node] = []
        for key, value in node.pairs:
            self._count(key.spot, depth)
            if not isinstance(key, Scalar):
                self._flaw(path, key.spot, "has a key that is a list or mapping: write a word")
            elif key.tag == _MERGE:
                merged += [item for _, item in value.items] if isinstance(value, Listing) else [value]
            else:
                self._enter(entries, key, value, path)
        for source in merged:
            if not isinstance(source, Pairs):
                self._flaw(path, source.spot, "has a merge key (<<) of something else than a mapping: write an alias")
                continue
            entries = self._entries(source, path, depth + 1) | entries
        return entries

    def _enter(self, entries: Entries, key: Scalar, value: Node, path: KeyPath) -> None:
        if key.text in entries:
            first = entries[key.text][0][0]
            self._flaw((*path, key.text), key.spot, f"stands twice, first in line {first}: keep one")
        entries[key.text] = (key.spot, value)

    def _scalar(self, node: Scalar, path: KeyPath) -> object:
        if node.tagged and node.tag != TEXT:
            self._flaw(path, node.spot, _TAGGED)
            return None
        return plain(node.tag, node.text)

    def _flaw(self, path: KeyPath, spot: Spot, text: str) -> None:
        self._tree.flaws.setdefault(spot, Flaw(path, spot, text))  # one spot may be reached by many aliases

    def _count(self, spot: Spot, depth: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            raise UnreadableError(
                spot[0], f"expands through aliases (*) to more than {MAX_VALUES} values: write it out"
            )


def plain(tag: str, text: str) -> object:
    """The value of a scalar; what only looks like a number or a date stays text."""
    node = yaml.ScalarNode(tag, text)
    try:
        match tag.removeprefix(TAG):
            case "null":
                return None
            case "bool":
                return bool(_CONSTRUCTOR.construct_yaml_bool(node))
            case "int" if ":" not in text:
                return int(_CONSTRUCTOR.construct_yaml_int(node)) if len(text) <= 40 else _huge(text)
            case "float" if ":" not in text:
                return float(_CONSTRUCTOR.construct_yaml_float(node))
    except ValueError:
        return text
    return text


def _huge(text: str) -> int:
    """Stand in for a number out of any range, whose digits Python refuses to convert."""
    return -_HUGE if text.startswith("-") else _HUGE


def describe(value: object, text: str | None) -> str:
    """What a value of the wrong type is, for a message: `the number 7`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"{'true' if value else 'false'}, as YAML reads {shown(text or '')}"
        case int() | float():
            return f"the number {(text or str(value))[:40]}"
        case str():
            return f"the text {shown(value)}"
        case list():
            return "a list"
    return "a mapping"
