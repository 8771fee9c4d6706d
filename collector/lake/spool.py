"""A file for a while: in memory while it is small, else in the machine's temporary folder, where it has no name.

So memory is bounded however large a file is, and nothing is left behind by a process that dies.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from collector.lake.errors import LakeError
from collector.lake.store import Stage, Staged

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_MEMORY = 1024 * 1024
"""Bytes of one file: a landing stages every file that it replaces before it publishes the first."""


class Spool:
    """Written once from its beginning, then read. It goes when nobody holds it any more."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # closed by whoever drops it
        weakref.finalize(self, self._file.close)
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Add to it."""
        self.size += self._file.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is to be done: nobody else reads it."""

    @property
    def closed(self) -> bool:
        """It is open as long as it is held."""
        return False

    def content(self) -> bytes:
        """All of it."""
        self._file.seek(0)
        return self._file.read()

    def reader(self) -> pa.NativeFile:
        """All of it, to be read at any place; closing that closes this."""
        self._file.seek(0)
        return pa.PythonFile(_Reading(self), mode="r")

    def read(self, size: int = -1) -> bytes:
        """Read on from where it stands."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Stand elsewhere."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it stands."""
        return self._file.tell()

    def close(self) -> None:
        """Let it go."""
        self._file.close()


class _Reading:
    """What pyarrow asks of a file; it keeps the spool."""

    def __init__(self, spool: Spool) -> None:
        self.read, self.seek, self.tell = spool.read, spool.seek, spool.tell
        self._spool = spool
        self.closed = False

    def close(self) -> None:
        """Let the spool go."""
        self.closed = True
        self._spool.close()


class SpooledStage(Stage):
    """A file being staged: nothing leaves this machine before it is published."""

    def __init__(self) -> None:
        self._spool = Spool()
        self.sink = pa.PythonFile(self._spool, mode="w")

    def finish(self) -> None:
        """It is whole."""
        self._staged = Staged(self._spool, self._spool.size)


@contextmanager
def spooling() -> Iterator[None]:
    """Tell a temporary folder that is full or cannot be written as what it is."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"cannot write to the temporary folder {tempfile.gettempdir()}: {error.strerror or error}. Make room, or "
            "name another with TMPDIR, and run again: nothing that had landed is lost"
        ) from error
