"""YAML text to plain data, with the position of each value in the file.

In: text. Out: dicts, lists, text, numbers, booleans and None, the position and the source text of each key path, and
the mistakes of the YAML itself (a key that is defined twice). Aliases and merge keys (`<<`) are expanded. Nothing is
constructed from a tag, and nesting and size are bounded, so that no text exhausts the memory or the stack.

Dates stay text, and so does what YAML 1.1 would read as a number in base 60 (`10:30`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.reader import Reader

Position = tuple[int, int]
"""Line, from 1, and column, from 0."""

KeyPath = tuple[str | int, ...]
"""The path to a value: keys of mappings and indexes of lists, such as ("workspaces", 0, "apps", 1, "id")."""

MAX_DEPTH = 32
"""Levels of nesting. The deepest key of a config is at level five."""

MAX_VALUES = 300_000
"""Values in a file once its aliases are expanded: enough for tens of thousands of apps, not for a billion laughs."""

LEFT_ALONE = "x-"
"""How keys at the top begin that hold nothing of the config: a place for anchors."""

_TAG = "tag:yaml.org,2002:"
_MAPPING, _LIST, _TEXT, _MERGE = f"{_TAG}map", f"{_TAG}seq", f"{_TAG}str", f"{_TAG}merge"
_TAGGED = "has a YAML tag (!), which has no meaning here: remove it"
_HUGE = 10**40
_CONSTRUCTOR = SafeConstructor()

_Entries = dict[str, tuple[Position, yaml.Node]]


class UnreadableError(Exception):
    """Why a file cannot be read at all, so that nothing else can be said about it."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True)
class YamlMistake:
    """A mistake of the YAML at one position."""

    path: KeyPath
    position: Position
    text: str


@dataclass(slots=True)
class Document:
    """Plain data with its positions. `texts` has the source text of single values."""

    data: object = None
    positions: dict[KeyPath, Position] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    mistakes: dict[Position, YamlMistake] = field(default_factory=dict)

    def position(self, path: KeyPath) -> Position:
        """The position of a path; for a path that is absent, of the nearest part of it that is there."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, (1, 0))


def read_document(text: str) -> Document | None:
    """The one document of the text; None where there is none. Raises UnreadableError for what is not YAML."""
    _refuse_control_characters(text)
    try:
        loader = _Loader(text)
        root = loader.single_document()
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(*_explain(error, text)) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        # ValueError: a number in an escape sequence or a %YAML line that Python cannot hold.
        raise UnreadableError(1, "is not valid YAML: compare it with config/collector.yaml") from None
    if root is None:
        return None
    document = Document()
    document.data = _Expansion(document, loader).value(root, ())
    return document


def _refuse_control_characters(text: str) -> None:
    found = Reader.NON_PRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise UnreadableError(line, f"contains the control character U+{ord(found.group()):04X}: remove it")


def _explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """The line, and what is wrong there. Never a value: it may be a key."""
    lines = text.splitlines() or [""]
    mark, start = error.problem_mark or error.context_mark, error.context_mark
    line = min(mark.line + 1, len(lines)) if mark else 1
    if mark and "\t" in lines[line - 1][: mark.column + 1]:
        return line, "is indented with a tab, which YAML does not allow: write spaces"
    since = f", in what starts in line {start.line + 1}" if start and start.line + 1 < line else ""
    return line, f"is not valid YAML ({error.problem or error.context}{since}): check indentation, quotes and brackets"


class _Loader(Composer, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's own composer over libyaml's parser, which reads a file of a thousand apps ten times as fast.

    libyaml's own composer would be faster still, and crashes the process on deep nesting.
    """

    def __init__(self, text: str) -> None:
        # `Composer` comes first, so that its methods win over the composer of libyaml's loader. Its own __init__ does
        # not call the next class's, so both are called: the parser's first.
        super(Composer, self).__init__(text)
        Composer.__init__(self)
        self.aliases: dict[tuple[int, object], Position] = {}
        """Positions of the aliases in lists, by the list's id and the index."""
        self.tagged: set[int] = set()
        """The ids of single values whose type is written, as in `!!int`."""
        self._open: set[str] = set()  # anchors of nodes that are not complete: an alias to one would contain itself
        self._depth = 0

    def single_document(self) -> yaml.Node | None:
        """The root node; None for an empty file."""
        if not self.check_node():
            return None
        root = self.get_node()
        if self.check_node():
            line = _position(self.peek_event())[0]
            raise UnreadableError(line, "is a second YAML document: write one, without `---` in between")
        return root

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The node of the next event, as PyYAML composes it, within the bounds of this module."""
        event = self.peek_event()
        # Before anything is composed: Python's stack grows with each level of nesting.
        if self._depth > MAX_DEPTH:
            raise UnreadableError(_position(event)[0], f"is nested deeper than {MAX_DEPTH} levels: check the brackets")
        if isinstance(event, yaml.AliasEvent):
            self._check_alias(event)
            if isinstance(parent, yaml.SequenceNode):
                # An alias gives the node of its anchor, which has the anchor's position. Mistakes are reported at the
                # alias. In mappings the key has a position of its own.
                self.aliases[id(parent), index] = _position(event)
            return super().compose_node(parent, index)
        anchor = event.anchor
        if anchor is not None:
            self.anchors.pop(anchor, None)  # YAML allows an anchor to be defined again
            self._open.add(anchor)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._open.discard(anchor)
        # A node has a tag whether or not the text has one. Only the event shows that somebody wrote it.
        if isinstance(event, yaml.ScalarEvent) and event.tag not in (None, "!", _TEXT):
            self.tagged.add(id(node))
        return node

    def _check_alias(self, event: yaml.AliasEvent) -> None:
        # PyYAML knows an anchor as soon as its node begins, so it would accept an alias inside it, and expansion would
        # never end.
        wrong = ""
        if event.anchor in self._open:
            wrong = "contains itself"
        elif event.anchor not in self.anchors:
            wrong = "has no anchor (&) above it"
        if wrong:
            raise UnreadableError(_position(event)[0], f"has an alias (*) that {wrong}: write the value out")


class _Expansion:
    """Nodes to plain data. One node may be reached by many aliases, so values are counted as they are expanded."""

    def __init__(self, document: Document, loader: _Loader) -> None:
        self._document, self._loader = document, loader
        self._values = 0

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        # Counted here and not in the loader: a node is composed once, and expanded once for each alias that reaches it.
        self._count(node, len(path))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (_MAPPING, _LIST):
            self._note(path, node, _TAGGED)
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self._item(node, index, path) for index in range(len(node.value))]
        if not isinstance(node, yaml.MappingNode):
            raise TypeError(f"not a YAML node: {type(node)}")
        entries = self._entries(node, path, 0)
        return {key: self._child(child, (*path, key), position) for key, (position, child) in entries.items()}

    def _item(self, node: yaml.SequenceNode, index: int, path: KeyPath) -> object:
        item = node.value[index]
        position = self._loader.aliases.get((id(node), index)) or _position(item)
        return self._child(item, (*path, index), position)

    def _child(self, node: yaml.Node, path: KeyPath, position: Position) -> object:
        self._document.positions[path] = position
        return self.value(node, path)

    def _entries(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> _Entries:
        entries: _Entries = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            self._count(key, depth)
            if not isinstance(key, yaml.ScalarNode):
                self._note(path, key, "has a key that is a list or mapping: write a word")
            elif key.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                self._enter(entries, key, value, path)
        # After all keys: a merge key may be anywhere in its mapping.
        for source in merged:
            if not isinstance(source, yaml.MappingNode):
                self._note(path, source, "has a merge key (<<) whose value is not a mapping: write an alias")
                continue
            # The right side of `|` wins. So the mapping's own keys win over merged ones, and an earlier source over a
            # later one, as YAML's merge keys are defined.
            entries = self._entries(source, path, depth + 1) | entries
        return entries

    def _enter(self, entries: _Entries, key: yaml.ScalarNode, value: yaml.Node, path: KeyPath) -> None:
        name = str(key.value)
        if name in entries:
            first = entries[name][0][0]
            self._note((*path, name), key, f"duplicate key, first defined in line {first}: remove one")
        entries[name] = (_position(key), value)

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        # Kept for messages, which quote the text as it is written and not the value that YAML reads (`yes`, `0x1f`).
        self._document.texts[path] = node.value
        if id(node) in self._loader.tagged:
            self._note(path, node, _TAGGED)
            return None
        return _plain(node)

    def _note(self, path: KeyPath, node: yaml.Node, text: str) -> None:
        if path and str(path[0]).startswith(LEFT_ALONE):
            return
        position = _position(node)
        # By position, so that a mistake in a value with many aliases is reported once.
        self._document.mistakes.setdefault(position, YamlMistake(path, position, text))

    def _count(self, node: yaml.Node, depth: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            line = _position(node)[0]
            raise UnreadableError(line, f"expands through aliases (*) to more than {MAX_VALUES} values: write it out")


def _plain(node: yaml.ScalarNode) -> object:
    """The value of a node. What only looks like a number or a date stays text."""
    text = str(node.value)
    try:
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return bool(_CONSTRUCTOR.construct_yaml_bool(node))
            case "int" if ":" not in text:
                return int(_CONSTRUCTOR.construct_yaml_int(node)) if len(text) <= 40 else _huge(text)
            case "float" if ":" not in text:
                return float(_CONSTRUCTOR.construct_yaml_float(node))
    except ValueError:
        # PyYAML's patterns accept what its conversions do not, such as `0x_`.
        return text
    return text


def _huge(text: str) -> int:
    """A number out of any range, in place of one whose digits Python refuses to convert."""
    return -_HUGE if text.startswith("-") else _HUGE


def _position(at: yaml.Node | yaml.Event) -> Position:
    mark = at.start_mark
    return (mark.line + 1, mark.column) if mark else (1, 0)
