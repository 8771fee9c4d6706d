"""The JSON Schema of the config file, for editors: completion, hover texts, red lines before the first run.

Derived from the classes that `load` validates with, so the two cannot drift apart. What needs more than one key to be
judged (duplicates, dates in order, one pool under two names) is known to `load` alone.
"""

from __future__ import annotations

from typing import Any

from collector.config.file import FileEntry

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema as plain data, ready to be written as JSON."""
    body = _tidy(FileEntry.model_json_schema())
    return {"$schema": DIALECT, "title": "collector.yaml", **body}


def _tidy(part: Any) -> Any:
    """Leave out titles made of names, and defaults that only say that a key may be absent."""
    if isinstance(part, list):
        return [_tidy(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: _tidy(value)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
