"""The store in a folder, on a local or a mounted POSIX file system.

Files are staged in the workspace's folder under `_collector/`: on the file system of the tables, so that a rename can
publish them, and outside the tables, so that a table folder never contains anything but complete files.

POSIX has no rename that compares first. Each change therefore takes a lock (`flock`) on the workspace's `mutex` file,
compares the versions and renames, which takes milliseconds. That lock is not the workspace's lock (`lease.py`), which
is held for as long as a run works.
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

MUTEX_TIMEOUT_SECONDS = 30.0
"""How long to wait for another process to publish. Less than a lease, which must be renewed in the meantime."""

_MUTEX_POLL_SECONDS = 0.02


class LocalStore:
    """A lake in a folder, for the runs of one workspace."""

    def __init__(self, root: Path, internal_folder: str, mutex_timeout_seconds: float = MUTEX_TIMEOUT_SECONDS) -> None:
        """`root`: the lake's folder. `internal_folder`: the workspace's folder below it, for staged files."""
        self._root, self._mutex_timeout_seconds = root, mutex_timeout_seconds
        self._staging = root / internal_folder / "staging"
        self._mutex = root / internal_folder / "mutex"

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The open file and its version. A rename over the path does not change what an open descriptor reads."""
        with _translate_errors("read", self._root / path):
            try:
                descriptor = os.open(self._root / path, os.O_RDONLY)
            except (FileNotFoundError, NotADirectoryError):
                return None
            # The version is that of the descriptor, not of the path, which may have been replaced by now.
            source = _OpenFile(os.fdopen(descriptor, "rb", buffering=0), self._root / path)
            return pa.PythonFile(source, mode="r"), _version(os.fstat(descriptor))

    def list(self, folder: str) -> Mapping[str, Version]:
        """All files below the folder, by a walk; empty if the folder does not exist."""
        found: dict[str, Version] = {}
        with _translate_errors("list", self._root / folder):
            for base, _, names in os.walk(self._root / folder, onerror=_raise_unless_missing):
                for name in names:
                    file = Path(base, name)
                    found[file.relative_to(self._root).as_posix()] = _version(file.stat())
        return found

    @contextmanager
    def stage(self) -> Iterator[LocalStage]:
        """Write a file in the staging folder; it is flushed to the disk when the block ends."""
        file = self._staging / uuid.uuid4().hex
        with _translate_errors("write", file):
            _make_folder(self._staging)
            stage = LocalStage(file)
            try:
                yield stage
                stage.finish()
            except BaseException:
                stage.drop()
                raise

    def publish(self, replacement: Replacement) -> Version:
        """Compare and rename, under the mutex. The folder is flushed, so that the rename survives a power failure."""
        source: Path = replacement.staged.handle
        target = self._root / replacement.path
        with _translate_errors("write", target), self._exclusive():
            # Every change of the workspace's files takes the mutex, so neither the lock file nor the file in place
            # can change between the comparisons and the rename. A publication that fails drops its staged file: the
            # next landing stages it again.
            try:
                if replacement.if_locked is not None:
                    path, version = replacement.if_locked
                    _check_version(self._root / path, version)
                _check_version(target, replacement.expected)
                _make_folder(target.parent)
                with _stage_gone_if_missing(source):
                    # Before the rename, which keeps the version: after it this path names no file.
                    version = _version(source.stat())
                    source.replace(target)
                _flush_folder(target.parent)
            except BaseException:
                source.unlink(missing_ok=True)
                raise
        return version

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Delete the file, and its folder if that is empty then."""
        target = self._root / path
        with _translate_errors("remove", target), self._exclusive():
            if expected is not None:
                _check_version(target, expected)
            # The folder is not flushed. A file that is back after a power failure is a journal that was landed, whose
            # log exists, or a lock whose lease expires: neither does harm.
            target.unlink(missing_ok=True)
            _remove_if_empty(target.parent)

    def move(self, path: str, to: str) -> None:
        """Rename within the lake, under the mutex."""
        source, target = self._root / path, self._root / to
        with _translate_errors("move", source), self._exclusive():
            _check_version(target, NO_FILE)
            _make_folder(target.parent)
            source.replace(target)
            _flush_folder(target.parent)
            _flush_folder(source.parent)

    def delete_staged(self) -> None:
        """Empty the workspace's staging folder."""
        with _translate_errors("clean", self._staging):
            for file in self._staging.glob("*"):
                file.unlink(missing_ok=True)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """No other process of this workspace changes the lake while the block runs."""
        # The mutex file stays for good: if it were deleted, two processes could lock two files of the same name.
        _make_folder(self._mutex.parent)
        with file_lock(self._mutex, self._mutex_timeout_seconds):
            yield


class LocalStage(Stage):
    """A file that is being written in the staging folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.sink = pa.PythonFile(file.open("xb"), mode="w")

    def finish(self) -> None:
        """Close the file and flush it to the disk. Raises StageGone if another run has deleted it."""
        self.sink.close()
        # The fsync must come before the rename that publishes the file: after a power failure the new name must
        # not point to a file without its content. Any descriptor of the file flushes all of it.
        with _stage_gone_if_missing(self._file):
            descriptor = os.open(self._file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            status = os.fstat(descriptor)
            self._staged = Staged(self._file, status.st_size, _version(status))
        finally:
            os.close(descriptor)

    def drop(self) -> None:
        """Close and delete the file."""
        try:
            self.sink.close()
        except OSError:  # a disk that is full at close was full at write: the first error is the one to report
            pass
        finally:
            self._file.unlink(missing_ok=True)


class _OpenFile(io.BufferedReader):
    """An open file. A disk that fails during a read is reported as that, and not as a damaged file."""

    def __init__(self, raw: io.RawIOBase, file: Path) -> None:
        super().__init__(raw)
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        with _translate_errors("read", self._file):
            return super().read(size)


@contextmanager
def file_lock(file: Path, timeout_seconds: float) -> Iterator[None]:
    """Hold an exclusive `flock` on the file in the block. Raises LakeBusy if another process keeps it too long.

    The kernel releases the lock when its process ends, however it ends, so a crash leaves nothing to clean up.
    """
    # `flock` itself would wait without a limit, and forever for a process that is suspended: poll instead.
    with file.open("ab") as mutex:
        for _ in range(math.ceil(timeout_seconds / _MUTEX_POLL_SECONDS)):
            try:
                fcntl.flock(mutex, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_MUTEX_POLL_SECONDS)
            else:
                # In `else`, a BlockingIOError of the block itself is not taken for a locked file. Closing unlocks.
                yield
                return
        raise LakeBusy(
            f"{file} has been locked for {timeout_seconds:g} s by {_lock_owner(mutex.fileno())}, which was probably "
            "suspended while it published a file: resume or end that process, and run again"
        )


def _lock_owner(descriptor: int) -> str:
    """The process that holds the `flock`, from Linux's table of locks where there is one."""
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            _, kind, _, _, pid, file, *_ = line.split()
            if kind == "FLOCK" and file.endswith(f":{os.fstat(descriptor).st_ino}"):
                return f"pid {pid}"
    return "another process"


@contextmanager
def _translate_errors(verb: str, path: Path) -> Iterator[None]:
    """Raise the system's errors as LakeError, which names the file and the reason."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LakeError(f"cannot {verb} {path}: {reason}{_advice(error.errno)}") from error


def _advice(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ". Free some space and run again; no landed data is lost"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ". The user that runs the collector needs write access to the lake's folder"
    return ""


@contextmanager
def _stage_gone_if_missing(staged: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StageGone(
            f"cannot publish {staged}: the file no longer exists; another run may have taken over the workspace"
        ) from error


def _version(status: os.stat_result) -> Version:
    """Inode, time of change and size. A rename keeps all three, so a staged file already has its final version."""
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _check_version(target: Path, expected: Version | None) -> None:
    """Raise Conflict if the file is not the expected version; None expects nothing."""
    if expected is None:
        return
    try:
        present = _version(target.stat())
    except (FileNotFoundError, NotADirectoryError):
        present = NO_FILE
    if present != expected:
        raise Conflict(
            f"{target} was changed by another run while this one was using it: nothing was overwritten; run again"
        )


def _make_folder(folder: Path) -> None:
    """Create the folder and its parents. Each parent with a new entry is flushed, so that the entry is durable."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    """Make new, renamed and deleted names in a folder durable: POSIX keeps them apart from the files' content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
