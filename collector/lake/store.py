"""The store: the small interface between the lake and a file system or an object store, and the errors of a lake.

A `Version` names one version of a file; each change of the file gives another version (an ETag, on object stores).
A write has two steps. `stage` writes a complete file that no reader sees, and does all that can fail for lack of
space. `publish` makes it visible under its path in one atomic step, on the condition that the file there is still the
expected version. A run that lost its lock therefore cannot overwrite newer data.

Stores raise `LakeError`, which says what failed and where. The subclass says how the run ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    import pyarrow as pa


class LakeError(Exception):
    """The lake cannot be read or written. The workspace's run stops; landed data stays (exit code 5)."""


class DamagedFile(LakeError):
    """A file of the collector does not have the content that it was written with. `reason` says what is wrong."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} is damaged ({reason}). Run `collector repair` to quarantine it; the next run fetches its data "
            "again"
        )
        self.path, self.reason = path, reason


class LakeRefused(LakeError):
    """The lake does not fit this config or this version of the collector; nothing is read or written (exit code 2)."""


class LakeBusy(LakeError):
    """Another run has locked the workspace (exit code 4)."""


class StageGone(LakeError):
    """A staged file was deleted before it was published, by the run that has taken over the workspace."""


class Conflict(LakeError):
    """A file is not the expected version: another run has replaced it. Nothing was overwritten."""


class LockChanged(Conflict):
    """The lock file is not the expected version."""


Version = str
NO_FILE: Version = ""
"""The version of a file that does not exist. To publish on it creates a file and never replaces one."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A complete, durable file that no reader sees yet. `handle` is private to the store.

    `version`: the version that the file will have once it is published, where the store knows it before; else NO_FILE.
    """

    handle: Any
    size: int
    version: Version = NO_FILE


@dataclass(frozen=True, slots=True)
class Replacement:
    """A staged file and its destination. `expected`: the version that it replaces (NO_FILE: none), or None for any.

    `rows`: how many rows a table's file has. `if_locked`: the path and the version of the lock file, which must be
    unchanged as well.
    """

    path: str
    staged: Staged
    expected: Version | None
    if_locked: tuple[str, Version] | None = None
    rows: int = 0


class Store(Protocol):
    """Files under one root, by relative paths with `/`. Every method raises LakeError."""

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The file, seekable and open for reading, and the version that is read; None if there is no file."""
        ...

    def open_footer(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """`open`, for a reader of the footer: a store may fetch the file's end, and other parts once they are read.

        All that is read is of the one version that is returned: where the file has been replaced meanwhile, reading
        another part raises Conflict.
        """
        ...

    def list(self, folder: str) -> Mapping[str, Version]:
        """The paths of all files below a folder, at any depth, each with its version."""
        ...

    def stage(self) -> AbstractContextManager[Stage]:
        """Write a file that no reader sees. It is durable once the block ends; an exception in the block drops it."""
        ...

    def publish(self, replacement: Replacement) -> Version:
        """Put a staged file in place in one atomic step, and return its version.

        Raises Conflict, and drops the staged file, if the file in place is not the expected version; LockChanged, if
        the lock file is not. Raises StageGone if the staged file no longer exists. A store that cannot compare two
        files in one step compares the lock file just before.
        """
        ...

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Delete a file, if there is one. Raises Conflict if it is not the expected version."""
        ...

    def move(self, path: str, to: str) -> None:
        """Rename a file. Raises Conflict if the destination exists."""
        ...

    def delete_staged(self) -> None:
        """Delete all staged files of the workspace, those of other runs too. Only the holder of the lock may."""
        ...


class Stage:
    """A file that is being staged. `sink`: where to write its content."""

    sink: pa.NativeFile
    _staged: Staged | None = None

    @property
    def staged(self) -> Staged:
        """The staged file. Raises ValueError before the `stage` block has ended."""
        if self._staged is None:
            raise ValueError("the file is still being staged")
        return self._staged


def put(store: Store, path: str, data: bytes | pa.Buffer, expected: Version | None = None) -> Version:
    """Stage and publish a small file; returns its version."""
    with store.stage() as stage:
        stage.sink.write(data)
    return store.publish(Replacement(path, stage.staged, expected))


def get(store: Store, path: str, limit: int | None = None) -> tuple[bytes, Version] | None:
    """The content and the version of a small file; None if there is no file. `limit`: read no more bytes than this."""
    opened = store.open(path)
    if opened is None:
        return None
    source, version = opened
    with source:
        data: bytes = source.read(limit)
    return data, version
