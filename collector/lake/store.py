"""What can be wrong with a lake. The class says what to do; the text names the file and what to do about it.

The store: the one small interface between the lake and a file system (object stores join here).

A `Tag` names one version of a file: any change of the file changes it. A replacement may be made conditional on the tag
that was read, so a run that lost its lock while asleep cannot overwrite newer data. Writing has two steps: `stage` does
all that can fail for want of space; `publish` makes a staged file visible under its path in one atomic step.
All failures are raised as `LakeError`, which says what could not be done and where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    import pyarrow as pa


class LakeError(Exception):
    """The lake cannot be read or written: the workspace's run stops, what has landed stays (exit 5)."""


class DamagedFile(LakeError):
    """A file that the collector wrote cannot be read as what it wrote. `path` names it, `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} is not as the collector wrote it ({reason}). `collector repair` moves it aside, and tells what "
            "the next run fetches anew"
        )
        self.path, self.reason = path, reason


class LakeRefused(LakeError):
    """The lake holds what this config or program must not be mixed with: nothing is read or written (exit 2)."""


class LakeBusy(LakeError):
    """Another run holds the workspace (exit 4)."""


class StageGone(LakeError):
    """What was staged is gone before it was published: the run that took the workspace meanwhile has swept it away."""


class Conflict(LakeError):
    """A file is not what it was when it was read: another run has replaced it, and nothing was overwritten."""


Version = str
NO_FILE: Version = ""
"""The tag of a file that is not there: publish on it creates, and never replaces."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A whole file, written and safe, that no reader sees yet. `handle` is the store's own business.

    `tag`: the version that it will be, where the store can tell before it is published; ABSENT where it cannot.
    """

    handle: Any
    size: int
    version: Version = NO_FILE


@dataclass(frozen=True, slots=True)
class Replacement:
    """A staged file and where it goes. `expected`: the version it replaces (ABSENT: none), or None for any.

    `while_held`: another file and its version, the lock's, without which nothing is replaced either.
    """

    path: str
    staged: Staged
    expected: Version | None
    if_locked: tuple[str, Version] | None = None


class Store(Protocol):
    """Files under one root, by relative paths with `/`."""

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The file, open for reading at any place, and the tag of just that version; None where there is none."""
        ...

    def list(self, folder: str) -> Mapping[str, Version]:
        """The paths of all files at any depth below a folder, each with its tag."""
        ...

    def stage(self) -> AbstractContextManager[Stage]:
        """Write a file that nobody sees. Leaving the block normally makes it safe; by an exception drops it."""
        ...

    def publish(self, replacement: Replacement) -> Version:
        """Put a staged file in place in one step; returns the tag of what is there now.

        Raises Conflict where the file there is another than the expected one, or the lock's is; the staged file is
        dropped then. Raises Swept where that is gone already. A store that cannot compare two files in one step
        compares the lock's just before.
        """
        ...

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Remove a file; nothing happens where there is none. Raises Conflict as `publish` does."""
        ...

    def move(self, path: str, to: str) -> None:
        """Rename a file out of the way. Raises Conflict where something is there already."""
        ...

    def delete_staged(self) -> None:
        """Drop all that is staged, by runs that died too. Only the holder of the lock may."""
        ...


class Stage:
    """A file being staged, by whichever store. `sink` is where to write."""

    sink: pa.NativeFile
    _staged: Staged | None = None

    @property
    def staged(self) -> Staged:
        """The staged file, once the block is left."""
        if self._staged is None:
            raise ValueError("the file is still being staged")
        return self._staged


def put(store: Store, path: str, data: bytes | pa.Buffer, expected: Version | None = None) -> Version:
    """Stage and publish a small file; returns its tag."""
    with store.stage() as stage:
        stage.sink.write(data)
    return store.publish(Replacement(path, stage.staged, expected))


def get(store: Store, path: str) -> tuple[bytes, Version] | None:
    """A small file's bytes and tag; None where there is none."""
    opened = store.open(path)
    if opened is None:
        return None
    source, version = opened
    with source:
        data: bytes = source.read()
    return data, version
