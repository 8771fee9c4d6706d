"""What a new file inherits from its folder: the group of a setgid folder, and its default access list (POSIX ACL).

A staged file inherits from the staging folder, and a rename keeps that. So a file is given what its own folder would
have given it, before it is published. Linux has access lists as extended attributes; elsewhere there are none.
"""

from __future__ import annotations

import logging
import os
import stat
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_DEFAULT, _ACCESS = "system.posix_acl_default", "system.posix_acl_access"

_ENTRY = struct.Struct("<HHI")
"""An entry of an access list: whom it is for, its permissions, and an id. A header of four bytes comes first."""
_HEADER_BYTES = 4
_OWNER, _GROUP, _MASK, _OTHERS = 0x01, 0x04, 0x10, 0x20
_EXECUTE = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inherited:
    """`group`: its id, None for the process's own. `access`: a default access list as the kernel has it, or None."""

    group: int | None
    access: bytes | None


def inherited_from(folder: str) -> Inherited:
    """What a folder gives to a file that is created in it."""
    status = Path(folder).stat()
    return Inherited(status.st_gid if status.st_mode & stat.S_ISGID else None, _default_access(folder))


def apply(given: Inherited, present: Inherited, file: str, folder: str) -> None:
    """Give `file`, which was created with `present`, what its `folder` gives. Raises OSError."""
    if given.group != present.group:
        try:
            os.chown(file, -1, os.getegid() if given.group is None else given.group)
        except PermissionError:
            _warn_foreign_group(folder)
    if given.access is not None and given.access != present.access:
        os.setxattr(file, _ACCESS, _of_a_file(given.access))


def _default_access(folder: str) -> bytes | None:
    if not hasattr(os, "getxattr"):
        return None
    try:
        return os.getxattr(folder, _DEFAULT)
    except OSError:  # no list (ENODATA), or a file system without lists (ENOTSUP)
        return None


def _of_a_file(default: bytes) -> bytes:
    """The access list of a file that is created with mode 0666: the kernel takes away what the mode does not have."""
    entries = list(_ENTRY.iter_unpack(default[_HEADER_BYTES:]))
    # Where there is a mask, it limits the group in the group's place.
    limited = {_OWNER, _OTHERS, _MASK if any(tag == _MASK for tag, _, _ in entries) else _GROUP}
    return default[:_HEADER_BYTES] + b"".join(
        _ENTRY.pack(tag, bits & ~_EXECUTE if tag in limited else bits, id_) for tag, bits, id_ in entries
    )


@cache
def _warn_foreign_group(folder: str) -> None:
    """Once for a folder."""
    log.warning(
        "%s: its files cannot be given the folder's group, since the user that runs the collector is not a member of "
        "it. Add the user to the group",
        folder,
    )
