"""Removes keys from text, and makes text from servers fit for logs and tables. The one place that knows a key's forms.

In: texts, and values of JSON. Out: the same with `***` for each key, in every form in which it can appear in a URL, in
JSON or in a traceback. A server's 401 echoes the key that it rejected, and a URL may hold it percent-encoded.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

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


class Redactor:
    """Removes a set of keys from texts and values."""

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[Secret | None]) -> None:
        forms = {form for secret in secrets if secret is not None for form in _forms(secret.reveal())}
        # The longest first: a shorter form may be a part of it.
        self._forms = sorted(forms, key=len, reverse=True)

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
        for form in self._forms:
            text = text.replace(form, "***")
        return text


def _forms(key: str) -> set[str]:
    """The key as it is, percent-encoded, and escaped as JSON and Python write it."""
    forms = {key, quote(key), quote(key, safe=""), quote_plus(key), repr(key)[1:-1]}
    forms |= {json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1]}
    # Percent-escapes may be written in lower case, too.
    forms |= {_lower_escapes(form) for form in forms}
    return forms - {""}


def _lower_escapes(text: str) -> str:
    head, *escaped = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in escaped)])
