"""One process at a time, by `flock` on a file: for the milliseconds in which a file is compared and renamed.

The store on a local file system (or one mounted like it): rename is the atomic step, fsync makes it last.

Files are staged in the workspace's own folder under `_collector/`, on the same file system as the tables, so that no
table folder ever holds anything but whole files. Conditions are checked under a lock on a file beside the stage, since
POSIX has no rename that compares first.
"""

from __future__ import annotations

import errno
import fcntl
import io
import math
import os
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from collector.lake.store import NO_FILE, Conflict, LakeBusy, LakeError, Replacement, Stage, Staged, StageGone, Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


PATIENCE_SECONDS = 30.0
"""How long to wait for another process to publish, which takes milliseconds; a lease must be renewed meanwhile."""

_PAUSE_SECONDS = 0.02


@contextmanager
def file_lock(file: Path, patience_seconds: float) -> Iterator[None]:
    """Hold the mutex in the block. Raises LakeBusy where another process does not let go of it in time."""
    with file.open("ab") as mutex:
        for _ in range(math.ceil(patience_seconds / _PAUSE_SECONDS)):
            try:
                fcntl.flock(mutex, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_SECONDS)
            else:
                yield
                return
        raise LakeBusy(
            f"{file} has been held for {patience_seconds:g} s by {_holder(mutex.fileno())}, which must have been "
            "stopped while it published a file: let it go on, or end it, and run again"
        )


def _holder(descriptor: int) -> str:
    """The process that has the file locked, as far as the kernel tells."""
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            _, kind, _, _, pid, file, *_ = line.split()
            if kind == "FLOCK" and file.endswith(f":{os.fstat(descriptor).st_ino}"):
                return f"pid {pid}"
    return "another process"


class LocalStore:
    """A lake in a folder, as one workspace's run sees it."""

    def __init__(self, root: Path, own: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """`root`: the lake's folder. `own`: the workspace's folder under it, for staging."""
        self._root, self._patience_seconds = root, patience_seconds
        self._staging = root / own / "staging"
        self._mutex = root / own / "mutex"

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The file and its tag, or None."""
        with _explained("read", self._root / path):
            try:
                descriptor = os.open(self._root / path, os.O_RDONLY)
            except (FileNotFoundError, NotADirectoryError):
                return None
            source = _Reading(os.fdopen(descriptor, "rb", buffering=0), self._root / path)
            return pa.PythonFile(source, mode="r"), _version(os.fstat(descriptor))

    def list(self, folder: str) -> Mapping[str, Version]:
        """All files below the folder."""
        found: dict[str, Version] = {}
        with _explained("list", self._root / folder):
            for base, _, names in os.walk(self._root / folder, onerror=_unless_absent):
                for name in names:
                    file = Path(base, name)
                    found[file.relative_to(self._root).as_posix()] = _version(file.stat())
        return found

    @contextmanager
    def stage(self) -> Iterator[LocalStage]:
        """Write beside the tables; flushed to the disk on leaving."""
        file = self._staging / uuid.uuid4().hex
        with _explained("write", file):
            _make_folder(self._staging)
            stage = LocalStage(file)
            try:
                yield stage
                stage.finish()
            except BaseException:
                stage.drop()
                raise

    def publish(self, replacement: Replacement) -> Version:
        """Rename into place."""
        source: Path = replacement.staged.handle
        target = self._root / replacement.path
        with _explained("write", target), self._alone():
            try:
                if replacement.if_locked is not None:
                    path, version = replacement.if_locked
                    _check(self._root / path, version)
                _check(target, replacement.expected)
                _make_folder(target.parent)
                with _unless_swept(source):
                    version = _version(source.stat())
                    source.replace(target)
                _flush_folder(target.parent)
            except BaseException:
                source.unlink(missing_ok=True)
                raise
        return version

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Remove the file, and its folder where that was the last of an own folder."""
        target = self._root / path
        with _explained("remove", target), self._alone():
            if expected is not None:
                _check(target, expected)
            target.unlink(missing_ok=True)
            _remove_empty(target.parent)

    def move(self, path: str, to: str) -> None:
        """Rename within the lake."""
        source, target = self._root / path, self._root / to
        with _explained("move", source), self._alone():
            _check(target, NO_FILE)
            _make_folder(target.parent)
            source.replace(target)
            _flush_folder(target.parent)
            _flush_folder(source.parent)

    def delete_staged(self) -> None:
        """Empty the staging folder."""
        with _explained("clean", self._staging):
            for file in self._staging.glob("*"):
                file.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        _make_folder(self._mutex.parent)
        with file_lock(self._mutex, self._patience_seconds):
            yield


class LocalStage(Stage):
    """A file under way in the staging folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.sink = pa.PythonFile(file.open("xb"), mode="w")

    def finish(self) -> None:
        """Flush to the disk and close."""
        self.sink.close()
        with _unless_swept(self._file):
            descriptor = os.open(self._file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            status = os.fstat(descriptor)
            self._staged = Staged(self._file, status.st_size, _version(status))
        finally:
            os.close(descriptor)

    def drop(self) -> None:
        """Close and remove."""
        try:
            self.sink.close()
        except OSError:  # the disk that is full at close was full at write: the first error is the one to tell
            pass
        finally:
            self._file.unlink(missing_ok=True)


class _Reading(io.BufferedReader):
    """An open file. A disk that fails under it is told as that, lest the file be taken for a damaged one."""

    def __init__(self, raw: io.RawIOBase, file: Path) -> None:
        super().__init__(raw)
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        with _explained("read", self._file):
            return super().read(size)


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    """Turn the system's errors into ours, in this one place."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LakeError(f"cannot {verb} {path}: {reason}{_advice(error.errno)}") from error


@contextmanager
def _unless_swept(staged: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StageGone(
            f"cannot publish {staged}: it is gone, as it is where another run has taken the workspace"
        ) from error


def _advice(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ". Make room and run again: nothing that had landed is lost"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ". The user who runs the collector must be able to write the lake's folder"
    return ""


def _version(status: os.stat_result) -> Version:
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _check(target: Path, expected: Version | None) -> None:
    if expected is None:
        return
    try:
        present = _version(target.stat())
    except (FileNotFoundError, NotADirectoryError):
        present = NO_FILE
    if present != expected:
        raise Conflict(
            f"{target} was changed by another run while this one held it: nothing was overwritten; run again"
        )


def _make_folder(folder: Path) -> None:
    """Make the folder and flush every parent that got a new entry."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
