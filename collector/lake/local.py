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
import logging
import math
import os
import stat
import time
import uuid
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from collector.lake import permissions
from collector.lake.paths import INTERNAL
from collector.lake.store import (
    NO_FILE,
    Conflict,
    LakeBusy,
    LakeError,
    LockChanged,
    Replacement,
    Stage,
    Staged,
    StageGone,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.lake.permissions import Inherited

MUTEX_TIMEOUT_SECONDS = 30.0
"""How long to wait for another process to publish. Less than a lease, which must be renewed in the meantime."""

_MUTEX_POLL_SECONDS = 0.02

_BUFFER_BYTES = 16 * 1024

_SMALL_FILE_BYTES = 64 * 1024
"""A file up to this size is read when it is opened: each read of a Parquet reader would be a call into Python."""

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""A symbolic link is an error (ELOOP), and a FIFO is opened without waiting for its writer."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK

log = logging.getLogger(__name__)


class LocalStore:
    """A lake in a folder, for the runs of one workspace."""

    def __init__(self, root: Path, internal_folder: str, mutex_timeout_seconds: float = MUTEX_TIMEOUT_SECONDS) -> None:
        """`root`: the lake's folder. `internal_folder`: the workspace's folder below it, for staged files."""
        self._root, self._mutex_timeout_seconds = os.fspath(root), mutex_timeout_seconds
        self._internal, self._staging = internal_folder, f"{internal_folder}/staging"
        self._mutex = f"{internal_folder}/mutex"
        # Folders that exist and are no symbolic links, and what a new file in them inherits: so each is examined once.
        # One that is deleted later is noticed where a file cannot be created in it, and is made again.
        self._known: set[str] = set()
        self._inherited: dict[str, Inherited] = {}

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The open file and its version. A rename over the path does not change what an open descriptor reads."""
        full = self._full(path)
        with _translate_errors("read", full):
            try:
                self._check_folder(_parent(path))
                descriptor = os.open(full, _READ)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                raise (_linked(full) if error.errno == errno.ELOOP else error) from error
            # The version is that of the descriptor, not of the path, which may have been replaced by now.
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                os.close(descriptor)
                raise LakeError(f"{full} is not a regular file. Move it out of the lake, and run again")
            source = _OpenFile(os.fdopen(descriptor, "rb", buffering=0), full)
            if status.st_size <= _SMALL_FILE_BYTES:
                with source:
                    return pa.BufferReader(source.read()), _version(status)
            return pa.PythonFile(source, mode="r"), _version(status)

    def open_footer(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The open file: only what is read is fetched anyway."""
        return self.open(path)

    def list(self, folder: str) -> Mapping[str, Version]:
        """All files below the folder, by a walk; empty if the folder does not exist."""
        found: dict[str, Version] = {}
        with _translate_errors("list", self._full(folder)), suppress(FileNotFoundError):
            self._check_folder(folder)
            self._walk(folder, found)
        return found

    @contextmanager
    def stage(self) -> Iterator[LocalStage]:
        """Write a file in the staging folder; it is flushed to the disk when the block ends."""
        # Errors name the workspace's folder: the name of a staged file means nothing to a user.
        with _translate_errors("write", self._full(self._internal)):
            stage = LocalStage(*self._create_staged())
            try:
                yield stage
                stage.finish()
            except BaseException:
                stage.drop()
                raise

    def publish(self, replacement: Replacement) -> Version:
        """Compare and rename, under the mutex. The folder is flushed, so that the rename survives a power failure."""
        source: str = replacement.staged.handle
        target = self._full(replacement.path)
        with _translate_errors("write", target), self._exclusive():
            # Every change of the workspace's files takes the mutex, so neither the lock file nor the file in place
            # can change between the comparisons and the rename. A publication that fails drops its staged file: the
            # next landing stages it again.
            try:
                if replacement.if_locked is not None:
                    self._check_lock(*replacement.if_locked)
                self._make_folder(_parent(replacement.path))
                _check_version(target, replacement.expected, fenced=replacement.if_locked is not None)
                self._put_in_place(source, replacement.path)
            except BaseException:
                _remove(source)
                raise
        # The rename has kept it.
        return replacement.staged.version

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Delete the file, and its folder if that is empty then."""
        target = self._full(path)
        with _translate_errors("remove", target), self._exclusive():
            if expected is not None:
                _check_version(target, expected)
            # The folder is not flushed. A file that is back after a power failure is a journal that was landed, whose
            # log exists, or a lock whose lease expires: neither does harm.
            _remove(target)
            self._remove_if_empty(_parent(path))

    def move(self, path: str, to: str) -> None:
        """Rename within the lake, under the mutex."""
        source, target = self._full(path), self._full(to)
        with _translate_errors("move", source), self._exclusive():
            _check_version(target, NO_FILE)
            self._make_folder(_parent(to))
            os.replace(source, target)
            self._flush_folder(_parent(to))
            self._flush_folder(_parent(path))

    def delete_staged(self) -> None:
        """Empty the workspace's staging folder."""
        staging = self._full(self._staging)
        with _translate_errors("clean", staging), suppress(FileNotFoundError), os.scandir(staging) as entries:
            for entry in entries:
                _remove(entry.path)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _check_folder(self, folder: str) -> None:
        """Raise FileNotFoundError if the folder does not exist, LakeError if it or its parent is a symbolic link.

        A reader follows such a link or skips it, each by its own rules, and a rename cannot cross to another disk. The
        lake's own folder and those above it may be links, and so may the collector's internal ones.
        """
        if not folder or folder in self._known:
            return
        self._check_folder(_parent(folder))
        status = os.lstat(self._full(folder))
        if stat.S_ISLNK(status.st_mode) and not _is_internal(folder):
            raise _linked(self._full(folder))
        self._known.add(folder)

    def _make_folder(self, folder: str) -> None:
        """Create the folder and its parents. Each parent with a new entry is flushed, so that the entry is durable.

        Folders above the lake are not created: where they are missing, a disk is probably not mounted.
        """
        try:
            self._check_folder(folder)
        except FileNotFoundError:
            parent = _parent(folder)
            if parent:
                self._make_folder(parent)
            else:
                self._make_root()
            with suppress(FileExistsError):
                os.mkdir(self._full(folder))
            self._flush_folder(parent)
            self._check_folder(folder)

    def _make_root(self) -> None:
        above = os.path.dirname(os.path.abspath(self._root))
        if not os.path.isdir(above):
            raise LakeError(
                f"cannot create the lake {self._root}: the folder {above} does not exist. Mount its disk, create it, "
                "or correct `lake:`"
            )
        if not os.path.isdir(self._root):
            with suppress(FileExistsError):  # another workspace's thread was faster
                os.mkdir(self._root)
            self._flush(above)

    def _forget_folders(self) -> None:
        """A folder was deleted since it was seen: examine all of them again."""
        self._known.clear()
        self._inherited.clear()

    def _remove_if_empty(self, folder: str) -> None:
        try:
            os.rmdir(self._full(folder))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
        else:
            self._known.discard(folder)
            self._inherited.pop(folder, None)

    def _walk(self, folder: str, found: dict[str, Version]) -> None:
        """Add the files below a folder. What another process deletes meanwhile is left out."""
        with suppress(FileNotFoundError), os.scandir(self._full(folder)) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_symlink():
                    raise _linked(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    self._walk(path, found)
                else:
                    with suppress(FileNotFoundError):
                        found[path] = _version(entry.stat(follow_symlinks=False))

    def _create_staged(self) -> tuple[int, str]:
        """The descriptor and the path of a new file in the staging folder."""
        file = self._full(f"{self._staging}/{uuid.uuid4().hex}")
        try:
            return os.open(file, _CREATE, 0o666), file
        except FileNotFoundError:
            self._forget_folders()
            self._make_folder(self._staging)
            return os.open(file, _CREATE, 0o666), file

    def _check_lock(self, path: str, version: Version) -> None:
        if not _is_unwritten(self._full(path), version):
            raise LockChanged(f"{self._full(path)} was changed by another run: nothing was published")

    def _inherit(self, source: str, folder: str) -> None:
        """Give a staged file the group and the access list that the folder would have given it."""
        given, present = self._inherited_from(folder), self._inherited_from(self._staging)
        if given != present:
            permissions.apply(given, present, source, self._full(folder))

    def _inherited_from(self, folder: str) -> Inherited:
        known = self._inherited.get(folder)
        if known is None:
            known = self._inherited[folder] = permissions.inherited_from(self._full(folder))
        return known

    def _put_in_place(self, source: str, path: str) -> None:
        """Rename a staged file. Raises StageGone if it no longer exists."""
        try:
            self._rename(source, path)
        except FileNotFoundError as error:
            if not os.path.lexists(source):
                raise StageGone(
                    f"cannot publish {self._full(path)}: its staged file no longer exists; another run may have taken "
                    "over the workspace"
                ) from error
            self._forget_folders()
            self._make_folder(_parent(path))
            self._rename(source, path)

    def _rename(self, source: str, path: str) -> None:
        folder = _parent(path)
        self._inherit(source, folder)
        os.replace(source, self._full(path))
        self._flush_folder(folder)

    def _flush_folder(self, folder: str) -> None:
        self._flush(self._full(folder))

    def _flush(self, folder: str) -> None:
        """Make new, renamed and deleted names in a folder durable: POSIX keeps them apart from the files' content."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Such as SMB: the server decides when names are durable. An I/O error is never one of these.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
            _warn_not_flushed(self._root)
        finally:
            os.close(descriptor)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """No other process of this workspace changes the lake while the block runs."""
        # The mutex file stays for good: if it were deleted, two processes could lock two files of the same name.
        mutex = self._full(self._mutex)
        try:
            descriptor = os.open(mutex, _LOCK, 0o666)
        except FileNotFoundError:
            self._forget_folders()
            self._make_folder(self._internal)
            descriptor = os.open(mutex, _LOCK, 0o666)
        try:
            _lock(descriptor, mutex, self._mutex_timeout_seconds)
            yield
        finally:
            os.close(descriptor)  # unlocks


class LocalStage(Stage):
    """A file that is being written in the staging folder."""

    def __init__(self, descriptor: int, file: str) -> None:
        self._file = file
        # Python's buffer writes all of what it is given, where a raw file may write a part. Arrow's is for speed: a
        # Parquet writer makes a hundred small writes a file, each of which would be a call into Python.
        self._buffered = os.fdopen(descriptor, "wb")
        self.sink = pa.BufferedOutputStream(pa.PythonFile(self._buffered, mode="w"), _BUFFER_BYTES)

    def finish(self) -> None:
        """Flush the file to the disk and close it. Raises StageGone if another run has deleted it."""
        # The fsync must come before the rename that publishes the file: after a power failure the new name must
        # not point to a file without its content.
        self.sink.flush()
        self._buffered.flush()
        os.fsync(self._buffered.fileno())
        self.sink.close()
        try:
            status = os.stat(self._file)  # of the closed file: some network file systems set its time when it is closed
        except FileNotFoundError as error:
            raise StageGone(
                f"a staged file in {os.path.dirname(self._file)} no longer exists; another run may have taken over the "
                "workspace"
            ) from error
        self._staged = Staged(self._file, status.st_size, _version(status))

    def drop(self) -> None:
        """Close and delete the file."""
        # A disk that is full at close was full at write: the first error is the one to report.
        for each in (self.sink, self._buffered):
            with suppress(OSError):
                each.close()
        _remove(self._file)


class _OpenFile(io.BufferedReader):
    """An open file. A disk that fails during a read is reported as that, and not as a damaged file."""

    def __init__(self, raw: io.RawIOBase, file: str) -> None:
        super().__init__(raw)
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        with _translate_errors("read", self._file):
            return super().read(size)


def _lock(descriptor: int, file: str, timeout_seconds: float) -> None:
    """Take an exclusive `flock`, which ends with the descriptor. Raises LakeBusy if another process keeps it too long.

    The kernel releases the lock when its process ends, however it ends, so a crash leaves nothing to clean up.
    """
    # `flock` itself would wait without a limit, and forever for a process that is suspended: poll instead.
    for _ in range(math.ceil(timeout_seconds / _MUTEX_POLL_SECONDS)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_MUTEX_POLL_SECONDS)
        else:
            return
    raise LakeBusy(
        f"{file} has been locked for {timeout_seconds:g} s by {_lock_owner(descriptor)}, which was probably "
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
def _translate_errors(verb: str, path: str) -> Iterator[None]:
    """Raise the system's errors as LakeError, which names the file and the reason."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LakeError(f"cannot {verb} {path}: {reason}{_advice(verb, error.errno)}") from error


def _advice(verb: str, number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ". Free some space and run again; no landed data is lost"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        if verb in ("read", "list"):
            return ". The user that runs this command needs read access to the lake's folder and all files in it"
        return ". The user that runs the collector needs write access to the lake's folder"
    if number == errno.EXDEV:
        return f". All tables and {INTERNAL} must be on one file system: none of their folders may be a mount or a link"
    return ""


def _linked(path: str) -> LakeError:
    return LakeError(
        f"{path} is a symbolic link, which query engines do not all follow. Replace it with the folder or file itself; "
        "to keep the lake on another disk, move all of it there: the lake's own folder may be a link"
    )


@cache
def _warn_not_flushed(root: str) -> None:
    """Once for a lake."""
    log.warning(
        "lake %s: its file system cannot flush folders (fsync); after a power failure of the file server, the last "
        "files that were written may be missing, and the next run collects them again",
        root,
    )


def _version(status: os.stat_result) -> Version:
    """Inode, time of change and size. A rename keeps all three, so a staged file already has its final version."""
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _present_version(target: str) -> Version:
    try:
        status = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        return NO_FILE
    if stat.S_ISLNK(status.st_mode):
        raise _linked(target)
    return _version(status)


def _is_unwritten(target: str, version: Version) -> bool:
    """Whether the file was not written since it had this version, by its time and size.

    Some file systems (FUSE) give a file another inode number at times. The number matters only where two files of one
    size are written within a tick of the clock, which no two holders of a lock do.
    """
    return _present_version(target).partition("-")[1:] == version.partition("-")[1:]


def _check_version(target: str, expected: Version | None, *, fenced: bool = False) -> None:
    """Raise Conflict if the file is not the expected version; None expects nothing.

    `fenced`: this run holds the lock, and no other one writes.
    """
    if expected is None or (_is_unwritten(target, expected) if fenced else _present_version(target) == expected):
        return
    raise Conflict(
        f"{target} was changed by another run while this one was using it: nothing was overwritten; run again"
    )


def _remove(file: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(file)


def _parent(path: str) -> str:
    """The folder of a path of the lake; "" is the lake's own."""
    return path.rpartition("/")[0]


def _is_internal(folder: str) -> bool:
    return folder.partition("/")[0] == INTERNAL
