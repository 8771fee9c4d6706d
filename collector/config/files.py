"""Reads what the user names: a config file, a key file. Regular files alone, so that nothing is waited for.

In: a path and a size. Out: the first bytes and the permissions, or CannotRead with the reason. Links are followed.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class CannotRead(Exception):
    """Why a file cannot be read, as the end of a sentence about it."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """The bytes of a file, and its permissions."""

    content: bytes
    permissions: int


def read_regular(path: Path, size: int) -> FileContent:
    """At most `size` bytes of the file. Raises CannotRead."""
    try:
        # Asked before it is opened: opening a device can have an effect.
        _refuse_irregular(path.stat().st_mode)
        # And again once it is open, since the name may have another file by now. O_NONBLOCK: a pipe without a writer
        # would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            _refuse_irregular(mode)
            return FileContent(stream.read(size), stat.S_IMODE(mode))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid file name"
        raise CannotRead(f"cannot be read ({reason})") from error


def _refuse_irregular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise CannotRead(f"is {_KINDS.get(stat.S_IFMT(mode), 'a special file')}, not a regular file")
