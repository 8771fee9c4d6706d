"""Removes keys from text, and makes text from servers fit for logs and tables. The one place that knows a key's forms.

In: texts, and values of JSON. Out: the same with `***` for each key, however it is written: escaped for URLs, JSON,
HTML or Python, once or twice, in upper or lower case, in base64 or hex, or cut short after twelve characters or more.

What a server says may hold the key in a form that nobody thought of, so it is quoted without words that could be one.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.config.settings import Secret

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]

MAX_LINE = 300
"""Characters of an error text that is logged and landed."""

_LARGEST_INT = 2**53
"""Larger integers lose digits in many readers of JSON, so they are written as text."""

_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def quote_json(value: object) -> str:
    """A value of a server's JSON as text."""
    try:
        return str(value)
    except RecursionError:  # the parser accepts more levels than Python can write
        return "(JSON nested too deeply to be quoted)"


def withhold_codes(said: str) -> str:
    """What a server said, with `***` for each word that could be a key or a part of one."""
    words = said[:_MOST_QUOTED].split()
    if len(said) > _MOST_QUOTED and not said[_MOST_QUOTED - 1].isspace():
        del words[-1:]  # a part of a word could be a part of a key
    return " ".join("***" if _could_be_code(word) else word for word in words)


def _could_be_code(word: str) -> bool:
    digits = sum(map(str.isdigit, word))
    return len(word) > _LONGEST_WORD or digits >= _MANY_DIGITS or (digits > 0 and any(map(str.isalpha, word)))


class Redactor:
    """Removes a set of keys from texts and values."""

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[Secret | None] = ()) -> None:
        forms = {form for secret in secrets if secret is not None for form in _forms(secret.reveal())}
        # By the beginning that gives a form away: all of it where it is short.
        self._forms: dict[bytes, list[bytes]] = {}
        for form in sorted(forms):
            self._forms.setdefault(form[:_SHORTEST_PART], []).append(form)

    def text(self, text: str) -> str:
        """The text without the keys, and without lone surrogates, which no stream accepts."""
        return self._without_keys(text).encode("utf-8", "replace").decode()

    def one_line(self, text: str) -> str:
        """The text without the keys, on one printable line of at most 300 characters."""
        # The key goes before anything is cut or joined: half a key would no longer be recognized.
        line = _UNPRINTABLE.sub(" ", self._without_keys(text)).strip()
        line = line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…"
        return line if line.isprintable() else "".join(char if char.isprintable() else " " for char in line)

    def json(self, value: object) -> JsonValue:
        """The value as JSON can hold it, without the keys in any text or name; what JSON has no type for is text."""
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int) and abs(value) < _LARGEST_INT:
            return value
        if isinstance(value, dict):
            return {self.text(str(name)): self.json(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.json(item) for item in value]
        return self.text(str(value))

    def _without_keys(self, text: str) -> str:
        """Search the text as it is, and as it reads without escapes; cut out what was found in either."""
        text = _CREDENTIALS.sub(r"\1***", text)
        found = self._found(_plain(text)) + (self._found(_unescaped(text)) if _ESCAPED.search(text) else [])
        parts, end = [], 0
        for start, stop in sorted(found):
            if stop > end:
                parts += [text[end:start], "***"] if start >= end else []
                end = stop
        return "".join([*parts, text[end:]])

    def _found(self, spelling: _Spelling) -> list[tuple[int, int]]:
        """The places of the keys, as positions in the text itself."""
        letters, places = spelling
        found = []
        for head, forms in self._forms.items():
            start = letters.find(head)
            while start >= 0:
                stop = start + max(_common_length(letters[start : start + len(form)], form) for form in forms)
                found.append((places[start], places[stop]))
                start = letters.find(head, stop)
        return found


_of_process = Redactor()


def use_for_process(redactor: Redactor) -> None:
    """From now on this is the redactor of what no logger writes: the traceback of a crash."""
    global _of_process  # a crash is reported outside everything that is handed down
    _of_process = redactor


def redact_crash(text: str) -> str:
    """A traceback without the keys of this process."""
    return _of_process.text(text)


_SHORTEST_PART = 12
"""Characters at the beginning of a key that are removed even where the rest is missing."""
_LONGEST_WORD = 24
_MANY_DIGITS = 5
_MOST_QUOTED = 10_000
"""Characters of a server's text that are looked at; a line has 300."""

_CREDENTIALS = re.compile(r"(api_key=|\bBearer |\bBasic (?=[\w+/=]{8})|://(?=[^\s/@'\"]*@))[^\s&'\"*@]+")
_ESCAPED = re.compile(r"[%\\&]")
_ESCAPE = re.compile(
    r"%(?:25)*([0-9a-f]{2})|\\+(?:u([0-9a-f]{4})|x([0-9a-f]{2}))|(\\+)|&#(?:(\d{1,7})|x([0-9a-f]{1,6}));"
    r"|&(amp|lt|gt|quot|apos);",
    re.IGNORECASE,
)
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}

_Spelling = tuple[bytes, "Sequence[int]"]
"""A text in lower case, and for each byte of it, and its end, the position in the original."""


def _plain(text: str) -> _Spelling:
    """The text itself."""
    if text.isascii():
        return text.lower().encode(), range(len(text) + 1)
    letters, places = bytearray(), []
    for place, char in enumerate(text):
        encoded = char.encode("utf-8", "surrogatepass")
        letters += encoded
        places += [place] * len(encoded)
    return bytes(letters).lower(), [*places, len(text)]


def _unescaped(text: str) -> _Spelling:
    """The text with what its escapes mean, however often they are applied; backslashes are left out."""
    letters, places, end = bytearray(), [], 0
    for escape in _ESCAPE.finditer(text):
        for part, start in ((text[end : escape.start()], end), (_meaning(escape), None)):
            spelled = _plain(part) if isinstance(part, str) else (part, range(len(part) + 1))
            letters += spelled[0]
            places += [escape.start() if start is None else start + place for place in spelled[1][:-1]]
        end = escape.end()
    rest = _plain(text[end:])
    return bytes(letters + rest[0]).lower(), [*places, *(end + place for place in rest[1])]


def _meaning(escape: re.Match[str]) -> str | bytes:
    byte, unicode, hexadecimal, _, decimal, reference, named = escape.groups()
    if byte is not None:
        return bytes.fromhex(byte)
    if named is not None:
        return _NAMED[named.lower()]
    number = int(decimal) if decimal else int(unicode or hexadecimal or reference or "0", 16)
    return chr(number) if 0 < number < 0x110000 else ""


def _common_length(first: bytes, second: bytes) -> int:
    """How many bytes two texts have in common at their beginning."""
    length = next((at for at, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), None)
    return min(len(first), len(second)) if length is None else length


def _forms(key: str) -> set[bytes]:
    """All that is searched for: the key, what it means unescaped, in hex, and in base64."""
    raw = key.encode("utf-8", "surrogatepass")
    texts = {raw, raw.replace(b" ", b"+"), raw.hex().encode()}
    for before in range(3):
        # In base64 three bytes are four letters, so there are three ways to spell a key in a longer text. The letters
        # at both ends depend on what is around it, and are left out.
        letters = base64.b64encode(bytes(before) + raw).rstrip(b"=")
        letters = letters[-(-before * 8 // 6) : len(letters) - ((before + len(raw)) % 3 > 0)]
        if len(letters) >= _SHORTEST_PART:
            texts |= {letters, letters.replace(b"+", b"-").replace(b"/", b"_")}
    spelled = {_plain(text.decode("utf-8", "surrogatepass"))[0] for text in texts}
    spelled |= {_unescaped(text.decode("utf-8", "surrogatepass"))[0] for text in texts}
    return spelled - {b""}
