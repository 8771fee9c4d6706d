"""Text from outside made fit for logs and tables: without the key, without control characters, one short line.

A server's 401 echoes the key it refused, and a URL may hold it percent-encoded.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collector.config.settings import Secret

LONGEST = 300
"""Characters of an error text that is logged and landed."""

_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def written(value: object) -> str:
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
