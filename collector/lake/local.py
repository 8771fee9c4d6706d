"""The store on a local file system (or one mounted like it): rename is the atomic step, fsync makes it last.

Files are staged in the workspace's own folder under `_collector/`, on the same file system as the tables, so that no
table folder ever holds anything but whole files. Conditions are checked under a lock on a file beside the stage, since
POSIX has no rename that compares first.
"""

from __future__ import annotations

import errno
import io
import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from collector.lake.errors import Conflict, LakeError, Swept
from collector.lake.mutex import PATIENCE_SECONDS, held
from collector.lake.store import ABSENT, Replacement, Stage, Staged, Tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class LocalStore:
    """A lake in a folder, as one workspace's run sees it."""

    def __init__(self, root: Path, own: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """`root`: the lake's folder. `own`: the workspace's folder under it, for staging."""
        self._root, self._patience_seconds = root, patience_seconds
        self._staging = root / own / "staging"
        self._mutex = root / own / "mutex"

    def open(self, path: str) -> tuple[pa.NativeFile, Tag] | None:
        """The file and its tag, or None."""
        with _explained("read", self._root / path):
            try:
                descriptor = os.open(self._root / path, os.O_RDONLY)
            except (FileNotFoundError, NotADirectoryError):
                return None
            source = _Reading(os.fdopen(descriptor, "rb", buffering=0), self._root / path)
            return pa.PythonFile(source, mode="r"), _tag(os.fstat(descriptor))

    def list(self, folder: str) -> Mapping[str, Tag]:
        """All files below the folder."""
        found: dict[str, Tag] = {}
        with _explained("list", self._root / folder):
            for base, _, names in os.walk(self._root / folder, onerror=_unless_absent):
                for name in names:
                    file = Path(base, name)
                    found[file.relative_to(self._root).as_posix()] = _tag(file.stat())
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

    def publish(self, replacement: Replacement) -> Tag:
        """Rename into place."""
        source: Path = replacement.staged.handle
        target = self._root / replacement.path
        with _explained("write", target), self._alone():
            try:
                if replacement.while_held is not None:
                    path, tag = replacement.while_held
                    _check(self._root / path, tag)
                _check(target, replacement.expected)
                _make_folder(target.parent)
                with _unless_swept(source):
                    tag = _tag(source.stat())
                    source.replace(target)
                _flush_folder(target.parent)
            except BaseException:
                source.unlink(missing_ok=True)
                raise
        return tag

    def delete(self, path: str, expected: Tag | None = None) -> None:
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
            _check(target, ABSENT)
            _make_folder(target.parent)
            source.replace(target)
            _flush_folder(target.parent)
            _flush_folder(source.parent)

    def sweep(self) -> None:
        """Empty the staging folder."""
        with _explained("clean", self._staging):
            for file in self._staging.glob("*"):
                file.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        _make_folder(self._mutex.parent)
        with held(self._mutex, self._patience_seconds):
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
            self._staged = Staged(self._file, status.st_size, _tag(status))
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
        raise Swept(
            f"cannot publish {staged}: it is gone, as it is where another run has taken the workspace"
        ) from error


def _advice(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ". Make room and run again: nothing that had landed is lost"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ". The user who runs the collector must be able to write the lake's folder"
    return ""


def _tag(status: os.stat_result) -> Tag:
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _check(target: Path, expected: Tag | None) -> None:
    if expected is None:
        return
    try:
        present = _tag(target.stat())
    except (FileNotFoundError, NotADirectoryError):
        present = ABSENT
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
