"""YAML text to nodes that know their line and column.

In: text. Out: nodes, in which an alias is the very node that its anchor named. Nothing is constructed from a tag, no
alias is expanded here (see `tree.py`), and nesting is bounded, so no text exhausts memory or the stack.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml
from yaml.reader import Reader
from yaml.resolver import Resolver

from collector.config.mistake import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 32
"""Levels of nesting; the deepest key of a config lies at five."""

TAG = "tag:yaml.org,2002:"
MAPPING, LISTING, TEXT = f"{TAG}map", f"{TAG}seq", f"{TAG}str"

Spot = tuple[int, int]
"""Line, from 1, and column, from 0."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's reads a file of a thousand apps ten times as fast

_RESOLVER = Resolver()


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, as text and the type that YAML gives it. `tagged`: the type was written, as in `!!int`."""

    spot: Spot
    tag: str
    text: str
    tagged: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A list; each item with the spot it is written at, which an alias has of its own."""

    spot: Spot
    tag: str
    items: list[tuple[Spot, Node]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping, in the order written, duplicates and all."""

    spot: Spot
    tag: str
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


Node = Scalar | Listing | Pairs


def parse(text: str) -> Node | None:
    """The nodes of the one document in the text, None where there is none; UnreadableError where it is no YAML."""
    _refuse_control_characters(text)
    try:
        return _Composer(yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(*_in_plain_words(error, text)) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        # ValueError: a number in an escape or a %YAML line that Python cannot hold.
        raise UnreadableError(1, "is not YAML that can be read: compare it with config/collector.yaml") from None


def _refuse_control_characters(text: str) -> None:
    found = Reader.NON_PRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise UnreadableError(line, f"holds the character U+{ord(found.group()):04X}, which no text has: remove it")


def _in_plain_words(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """The line, and what is wrong there. Never a value: it may be a key."""
    lines = text.splitlines() or [""]
    mark, begun = error.problem_mark or error.context_mark, error.context_mark
    line = min(mark.line + 1, len(lines)) if mark else 1
    if mark and "\t" in lines[line - 1][: mark.column + 1]:
        return line, "is indented with a tab, which YAML does not allow: write spaces"
    since = f", in what begins in line {begun.line + 1}" if begun and begun.line + 1 < line else ""
    return line, f"is not valid YAML ({error.problem or error.context}{since}): check indentation, quotes and brackets"


class _Composer:
    """Events to nodes, one document."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._anchors: dict[str, Node | None] = {}  # None: still open, so an alias to it would hold itself

    def document(self) -> Node | None:
        root = None
        for event in self._events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            if root is not None:
                line = _spot(event)[0]
                raise UnreadableError(line, "is a second YAML document: write one, without `---` in between")
            root = self._node(next(self._events), 0)
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise UnreadableError(_spot(event)[0], f"is nested deeper than {MAX_DEPTH} levels: check the brackets")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = None
        node = self._written(event, depth)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _aliased(self, event: yaml.AliasEvent) -> Node:
        name = str(event.anchor)
        node = self._anchors.get(name)
        if node is None:
            wrong = "holds itself" if name in self._anchors else "has no anchor (&) above it"
            raise UnreadableError(_spot(event)[0], f"has an alias (*) that {wrong}: write the value out")
        return node

    def _written(self, event: yaml.Event, depth: int) -> Node:
        spot = _spot(event)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, spot)
        if isinstance(event, yaml.SequenceStartEvent):
            listing = Listing(spot, event.tag or LISTING)
            for item in self._until(yaml.SequenceEndEvent):
                listing.items.append((_spot(item), self._node(item, depth + 1)))
            return listing
        pairs = Pairs(spot, getattr(event, "tag", None) or MAPPING)
        for key in self._until(yaml.MappingEndEvent):
            pairs.pairs.append((self._node(key, depth + 1), self._node(next(self._events), depth + 1)))
        return pairs

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := next(self._events), end):
            yield event


def _scalar(event: yaml.ScalarEvent, spot: Spot) -> Scalar:
    if event.tag is not None and event.tag != "!":
        return Scalar(spot, event.tag, event.value, tagged=True)
    tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
    return Scalar(spot, tag, event.value, tagged=False)


def _spot(event: yaml.Event) -> Spot:
    mark = event.start_mark
    return (mark.line + 1, mark.column) if mark else (1, 0)
