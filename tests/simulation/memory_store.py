"""The lake in memory: a disk that outlives its processes, and the store through which one of them sees it.

Each operation of the store is one step: before it, other threads and the event loop may run (`stepped_threads.py`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from collector.lake.store import NO_FILE, Conflict, Replacement, Stage, Staged, StageGone, Version
from tests.simulation.stepped_threads import stop_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.simulation.simulated_process import SimulatedProcess


@dataclass(frozen=True, slots=True)
class File:
    """One version of a file."""

    content: pa.Buffer
    version: Version


@dataclass(slots=True)
class Disk:
    """`files` by path; `staged` by (workspace, number); `published` is called for each published file."""

    published: Callable[[str, pa.Buffer], None]
    files: dict[str, File] = field(default_factory=dict)
    staged: dict[tuple[str, int], pa.Buffer] = field(default_factory=dict)
    _versions: int = 0

    def next_version(self) -> int:
        """The number of the next version."""
        self._versions += 1
        return self._versions

    def put(self, path: str, content: pa.Buffer) -> Version:
        """Write a new version of a file."""
        version = f"v{self.next_version()}"
        self.files[path] = File(content, version)
        return version

    def version(self, path: str) -> Version:
        """The present version, or NO_FILE."""
        file = self.files.get(path)
        return file.version if file else NO_FILE


class MemoryStore:
    """`Store`, as one process sees one workspace's part of the disk."""

    def __init__(self, disk: Disk, process: SimulatedProcess, workspace: str) -> None:
        self._disk, self._process, self._workspace = disk, process, workspace

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The file and its version, or None."""
        stop_here()
        self._process.check_alive()
        file = self._disk.files.get(path)
        return (pa.BufferReader(file.content), file.version) if file else None

    def open_footer(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The file and its version, or None."""
        return self.open(path)

    def list(self, folder: str) -> Mapping[str, Version]:
        """All files below the folder."""
        stop_here()
        self._process.check_alive()
        return {path: file.version for path, file in self._disk.files.items() if path.startswith(f"{folder}/")}

    @contextmanager
    def stage(self) -> Iterator[MemoryStage]:
        """Stage a file. A process that is killed leaves it staged."""
        stop_here()
        self._process.check_alive()
        place = (self._workspace, self._disk.next_version())
        stage = MemoryStage(place)
        yield stage
        self._process.effect("stage")
        self._disk.staged[place] = stage.finish()

    def publish(self, replacement: Replacement) -> Version:
        """Publish a staged file."""
        stop_here()
        try:
            self._process.effect("publish")
            self._check(replacement.path, replacement.expected)
            if replacement.if_locked is not None:
                self._check(*replacement.if_locked)
            content = self._content(replacement.staged)
        finally:
            if not self._process.dead:
                self._disk.staged.pop(replacement.staged.handle, None)
        version = self._disk.put(replacement.path, content)
        self._disk.published(replacement.path, content)
        return version

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Remove the file."""
        stop_here()
        self._process.effect("delete")
        self._check(path, expected)
        self._disk.files.pop(path, None)

    def move(self, path: str, to: str) -> None:
        """Rename within the lake."""
        stop_here()
        self._process.effect("move")
        self._check(to, NO_FILE)
        self._disk.put(to, self._disk.files.pop(path).content)

    def delete_staged(self) -> None:
        """Delete what is staged for the workspace."""
        stop_here()
        self._process.check_alive()
        for place in [place for place in self._disk.staged if place[0] == self._workspace]:
            self._process.effect("sweep")
            self._disk.staged.pop(place, None)

    def _content(self, staged: Staged) -> pa.Buffer:
        content = self._disk.staged.get(staged.handle)
        if content is None:
            raise StageGone("the staged file is gone")
        return content

    def _check(self, path: str, expected: Version | None) -> None:
        if expected is not None and self._disk.version(path) != expected:
            raise Conflict(f"{path} was changed by another run")


class MemoryStage(Stage):
    """`Stage`: a file that is being written."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.sink = pa.BufferOutputStream()
        self._place = place

    def finish(self) -> pa.Buffer:
        """The complete content."""
        content = self.sink.getvalue()
        self._staged = Staged(self._place, content.size)
        return content
