"""Text from outside made fit for logs and tables: without the key, without control characters, one short line.

A server's 401 echoes the key it refused, and a URL may hold it percent-encoded.

The last line of defence: whatever is about to be written, without any key that the run knows.

Texts from servers lose the key where they come in; this is for what nobody thought of. In: texts and the values of
JSON objects. Out: the same with `***` for each key, in every form in which it could stand in an URL or in JSON.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collector.config.settings import Secret


LONGEST = 300
"""Characters of an error text that is logged and landed."""

_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def quote_json(value: object) -> str:
    """A value of a server's JSON as text, whole."""
    try:
        return str(value)
    except RecursionError:  # the parser takes some levels more than Python writes
        return "(JSON nested too deeply to be quoted)"


class Redactor:
    """Cleans texts of one workspace's key, in every form in which a server may give it back."""

    __slots__ = ("_forms",)

    def __init__(self, secret: Secret | None) -> None:
        key = secret.reveal() if secret is not None else ""
        forms = {
            key,
            quote(key),
            quote(key, safe=""),
            quote_plus(key),
            json.dumps(key)[1:-1],
            json.dumps(key, ensure_ascii=False)[1:-1],
        }
        # The longest first: a shorter form may be a part of it.
        self._forms = sorted(filter(None, forms), key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text on one printable line of at most 300 characters, with `***` for the key."""
        for form in self._forms:
            text = text.replace(form, "***")
        # The key goes before anything is cut or folded: half a key would no longer be recognised.
        line = _UNPRINTABLE.sub(" ", text).strip()
        line = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
        return line if line.isprintable() else "".join(char if char.isprintable() else " " for char in line)


JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]

_WIDEST = 2**53


class LogRedactor:
    """Takes a set of keys out of texts and values."""

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms = {form for secret in secrets for form in _forms(secret.reveal())}
        # The longest first: a shorter form may be a part of it.
        self._forms = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without the keys, and without halves of characters, which no stream takes."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text.encode("utf-8", "replace").decode()

    def value(self, value: object) -> JsonValue:
        """The value as JSON can hold it, each text in it without the keys; what JSON lacks is told as text."""
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int) and abs(value) < _WIDEST:
            return value
        if isinstance(value, dict):
            return self.members(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return self.text(str(value))

    def members(self, values: Mapping[object, object]) -> dict[str, JsonValue]:
        """The same of each member of an object."""
        return {self.text(str(name)): self.value(value) for name, value in values.items()}


def _forms(key: str) -> set[str]:
    forms = {key, quote(key), quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1], repr(key)[1:-1]}
    # Escapes may be written in lower case, too.
    forms |= {_lower_escapes(form) for form in forms}
    return forms - {""}


def _lower_escapes(text: str) -> str:
    head, *escaped = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in escaped)])
