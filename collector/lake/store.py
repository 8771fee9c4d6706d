"""The store: the one small interface between the lake and a file system (object stores join here).

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

Tag = str
ABSENT: Tag = ""
"""The tag of a file that is not there: publish on it creates, and never replaces."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A whole file, written and safe, that no reader sees yet. `handle` is the store's own business.

    `tag`: the version that it will be, where the store can tell before it is published; ABSENT where it cannot.
    """

    handle: Any
    size: int
    tag: Tag = ABSENT


@dataclass(frozen=True, slots=True)
class Replacement:
    """A staged file and where it goes. `expected`: the version it replaces (ABSENT: none), or None for any.

    `while_held`: another file and its version, the lock's, without which nothing is replaced either.
    """

    path: str
    staged: Staged
    expected: Tag | None
    while_held: tuple[str, Tag] | None = None


class Store(Protocol):
    """Files under one root, by relative paths with `/`."""

    def open(self, path: str) -> tuple[pa.NativeFile, Tag] | None:
        """The file, open for reading at any place, and the tag of just that version; None where there is none."""
        ...

    def list(self, folder: str) -> Mapping[str, Tag]:
        """The paths of all files at any depth below a folder, each with its tag."""
        ...

    def stage(self) -> AbstractContextManager[Stage]:
        """Write a file that nobody sees. Leaving the block normally makes it safe; by an exception drops it."""
        ...

    def publish(self, replacement: Replacement) -> Tag:
        """Put a staged file in place in one step; returns the tag of what is there now.

        Raises Conflict where the file there is another than the expected one, or the lock's is; the staged file is
        dropped then. Raises Swept where that is gone already. A store that cannot compare two files in one step
        compares the lock's just before.
        """
        ...

    def delete(self, path: str, expected: Tag | None = None) -> None:
        """Remove a file; nothing happens where there is none. Raises Conflict as `publish` does."""
        ...

    def move(self, path: str, to: str) -> None:
        """Rename a file out of the way. Raises Conflict where something is there already."""
        ...

    def sweep(self) -> None:
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


def put(store: Store, path: str, data: bytes | pa.Buffer, expected: Tag | None = None) -> Tag:
    """Stage and publish a small file; returns its tag."""
    with store.stage() as stage:
        stage.sink.write(data)
    return store.publish(Replacement(path, stage.staged, expected))


def get(store: Store, path: str) -> tuple[bytes, Tag] | None:
    """A small file's bytes and tag; None where there is none."""
    opened = store.open(path)
    if opened is None:
        return None
    source, tag = opened
    with source:
        data: bytes = source.read()
    return data, tag
