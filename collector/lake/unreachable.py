"""What an object store refuses or fails at, as LakeError: what, where, why in a few words, and what to do.

The library's own text is long and shows requests; no more of it is told than status, code and the system's reason.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError

from collector.lake.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_SYSTEM = re.compile(r'message: "([\w ]{1,80})"')
_LATE = re.compile(r"TimedOut|timed out|deadline", re.IGNORECASE)
_NAMELESS = re.compile(r"dns error|failed to lookup", re.IGNORECASE)
_TOKENLESS = re.compile(r"token request|credential", re.IGNORECASE)


@contextmanager
def explained(verb: str, place: str) -> Iterator[None]:
    """Turn the library's errors into ours, in this one place."""
    try:
        yield
    except FileNotFoundError as error:
        raise LakeError(
            f"cannot {verb} {place}: there is no such file, bucket or container. Make the bucket, or correct `lake:`"
        ) from error
    except BaseError as error:
        raise LakeError(f"cannot {verb} {place}: {_reason(str(error))}") from error


def _reason(text: str) -> str:
    status, code, system = _STATUS.search(text), _CODE.search(text), _SYSTEM.search(text)
    if status:
        said = " ".join(filter(None, [status[1], code[1] if code else ""]))
        return f"the store answered {said}{_advice(status[1])}"
    if _NAMELESS.search(text):
        return "its server's name is not known. Check `storage:` and the network"
    if _LATE.search(text):
        return "no answer in time. Run again: nothing that had landed is lost"
    if _TOKENLESS.search(text):
        return "no credentials could be had. docs/lakes.md tells where they are looked for"
    return f"{system[1] if system else 'the connection failed'}. Run again: nothing that had landed is lost"


def _advice(status: str) -> str:
    if status in ("401", "403"):
        return ". Its credentials must be right, and allow to list, read, write and delete under the lake's prefix"
    if status in ("301", "307", "400"):
        return ". Check that storage.region is the bucket's, and storage.endpoint the store's"
    if status == "404":
        return ". Make the bucket, or correct `lake:`"
    return ". Run again: nothing that had landed is lost"
