"""What an object store refuses or fails at, as LakeError: what, where, why in a few words, and what to do.

The library's own text is long and shows requests; no more of it is told than status, code and the system's reason.

A file for a while: in memory while it is small, else in the machine's temporary folder, where it has no name.

So memory is bounded however large a file is, and nothing is left behind by a process that dies.

The store on an object store: a put is the atomic step, and it may hang on what is there.

A tag is an ETag. Files are staged on this machine and travel whole in one request, for conditions and multipart uploads
exclude each other. A put whose answer is lost, and that is sent again, meets its own work: what is there is compared.
"""

from __future__ import annotations

import os
import re
import tempfile
import weakref
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError
from obstore.store import GCSStore

from collector.lake.clouds import make_client
from collector.lake.store import NO_FILE, Conflict, LakeError, Replacement, Stage, Staged, Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obstore import ObjectMeta, PutMode, PutResult
    from obstore.store import ObjectStore as Client

    from collector.config.settings import Storage


_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_SYSTEM = re.compile(r'message: "([\w ]{1,80})"')
_LATE = re.compile(r"TimedOut|timed out|deadline", re.IGNORECASE)
_NAMELESS = re.compile(r"dns error|failed to lookup", re.IGNORECASE)
_TOKENLESS = re.compile(r"token request|credential", re.IGNORECASE)


@contextmanager
def translate_errors(verb: str, place: str) -> Iterator[None]:
    """Turn the library's errors into ours, in this one place."""
    try:
        yield
    except FileNotFoundError as error:
        raise LakeError(
            f"cannot {verb} {place}: there is no such file, bucket or container. Make the bucket, or correct `lake:`"
        ) from error
    except BaseError as error:
        raise LakeError(f"cannot {verb} {place}: {_reason(str(error))}") from error


def _reason(text: str) -> str:
    status, code, system = _STATUS.search(text), _CODE.search(text), _SYSTEM.search(text)
    if status:
        said = " ".join(filter(None, [status[1], code[1] if code else ""]))
        return f"the store answered {said}{_access_advice(status[1])}"
    if _NAMELESS.search(text):
        return "its server's name is not known. Check `storage:` and the network"
    if _LATE.search(text):
        return "no answer in time. Run again: nothing that had landed is lost"
    if _TOKENLESS.search(text):
        return "no credentials could be had. docs/lakes.md tells where they are looked for"
    return f"{system[1] if system else 'the connection failed'}. Run again: nothing that had landed is lost"


def _access_advice(status: str) -> str:
    if status in ("401", "403"):
        return ". Its credentials must be right, and allow to list, read, write and delete under the lake's prefix"
    if status in ("301", "307", "400"):
        return ". Check that storage.region is the bucket's, and storage.endpoint the store's"
    if status == "404":
        return ". Make the bucket, or correct `lake:`"
    return ". Run again: nothing that had landed is lost"


IN_MEMORY = 1024 * 1024
"""Bytes of one file: a landing stages every file that it replaces before it publishes the first."""


class TempFile:
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
        return pa.PythonFile(_TempReader(self), mode="r")

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


class _TempReader:
    """What pyarrow asks of a file; it keeps the spool."""

    def __init__(self, spool: TempFile) -> None:
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
        self._spool = TempFile()
        self.sink = pa.PythonFile(self._spool, mode="w")

    def finish(self) -> None:
        """It is whole."""
        self._staged = Staged(self._spool, self._spool.size)


@contextmanager
def translate_temp_errors() -> Iterator[None]:
    """Tell a temporary folder that is full or cannot be written as what it is."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"cannot write to the temporary folder {tempfile.gettempdir()}: {error.strerror or error}. Make room, or "
            "name another with TMPDIR, and run again: nothing that had landed is lost"
        ) from error


_PUTS = 4
"""How often a put is sent whose condition still holds although the store said otherwise, or said nothing."""

_DOUBTFUL = (AlreadyExistsError, PreconditionError, GenericError)


class Bucket:
    """A lake's bucket and prefix, shared by all workspaces; its client is made when it is first used."""

    def __init__(self, lake: str, storage: Storage) -> None:
        self._lake, self._storage = lake.rstrip("/"), storage

    @cached_property
    def client(self) -> Client:
        """Raises LakeError where there are no credentials, or none that can be used."""
        return make_client(self._lake, self._storage)

    def place(self, path: str) -> str:
        """The whole address of a file, for messages."""
        return f"{self._lake}/{path}"


class ObjectStore:
    """A lake in a bucket, as any workspace's run sees it."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The file, fetched whole by one request, so that no two versions meet in it."""
        with translate_errors("read", self._bucket.place(path)):
            try:
                found = obstore.get(self._bucket.client, path)
            except FileNotFoundError:
                return None
            spool = TempFile()
            for part in found.stream():
                with translate_temp_errors():
                    spool.write(part)
            return spool.reader(), self._version(path, found.meta)

    def list(self, folder: str) -> Mapping[str, Version]:
        """All files below the folder."""
        with translate_errors("list", self._bucket.place(folder)):
            listed = obstore.list(self._bucket.client, prefix=folder)
            return {each["path"]: self._version(each["path"], each) for part in listed for each in part}

    @contextmanager
    def stage(self) -> Iterator[SpooledStage]:
        """Write on this machine; nothing is sent yet."""
        with translate_temp_errors():
            stage = SpooledStage()
            yield stage
            stage.finish()

    def publish(self, replacement: Replacement) -> Version:
        """Put it, if what is there is what was expected. The lock's file is looked at just before."""
        spool: TempFile = replacement.staged.handle
        try:
            with translate_errors("write", self._bucket.place(replacement.path)):
                if replacement.if_locked is not None:
                    self._check(*replacement.if_locked)
                with translate_temp_errors():
                    content = spool.content()
                return self._put(replacement.path, content, replacement.expected)
        finally:
            spool.close()

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Remove the file. No store compares and removes in one step through this library: it is looked at before."""
        with translate_errors("remove", self._bucket.place(path)):
            if expected is not None:
                self._check(path, expected)
            self._remove(path)

    def move(self, path: str, to: str) -> None:
        """Copy, then remove."""
        with translate_errors("move", self._bucket.place(path)):
            content = bytes(obstore.get(self._bucket.client, path).bytes())
            self._put(to, content, NO_FILE)
            self._remove(path)

    def delete_staged(self) -> None:
        """Nothing is to be done: what is staged has no name, and goes with its process."""

    def _put(self, path: str, content: bytes, expected: Version | None) -> Version:
        doubt: Exception | None = None
        for _ in range(_PUTS):
            try:
                return self._version(path, self._put_once(path, content, expected))
            except _DOUBTFUL as error:
                doubt = error
            except FileNotFoundError:
                if expected in (None, NO_FILE):
                    raise  # not the file is missing, but the bucket
            present = self._present(path)
            if present is not None and present[0] == content:
                return present[1]
            if expected is not None and expected != (NO_FILE if present is None else present[1]):
                raise self._conflict(path)
        raise doubt or self._conflict(path)

    def _put_once(self, path: str, content: bytes, expected: Version | None) -> PutResult:
        mode = self._mode(path, expected)
        return obstore.put(self._bucket.client, path, content, mode=mode, use_multipart=False)

    def _mode(self, path: str, expected: Version | None) -> PutMode:
        if expected is None:
            return "overwrite"
        if expected == NO_FILE:
            return "create"
        if not isinstance(self._bucket.client, GCSStore):
            return {"e_tag": f'"{expected}"'}
        meta = obstore.head(self._bucket.client, path)  # Google compares generations, which no listing tells
        if self._version(path, meta) != expected or meta["version"] is None:
            raise self._conflict(path)
        return {"version": meta["version"]}

    def _present(self, path: str) -> tuple[bytes, Version] | None:
        try:
            found = obstore.get(self._bucket.client, path)
        except FileNotFoundError:
            return None
        return bytes(found.bytes()), self._version(path, found.meta)

    def _check(self, path: str, expected: Version) -> None:
        try:
            present = self._version(path, obstore.head(self._bucket.client, path))
        except FileNotFoundError:
            present = NO_FILE
        if present != expected:
            raise self._conflict(path)

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            obstore.delete(self._bucket.client, path)

    def _version(self, path: str, said: ObjectMeta | PutResult) -> Version:
        """The ETag without its quotes, which listings of Azure leave out."""
        version = (said["e_tag"] or "").strip('"')
        if not version:
            raise LakeError(
                f"{self._bucket.place(path)} has no ETag: this store cannot hold a lake, it compares nothing"
            )
        return version

    def _conflict(self, path: str) -> Conflict:
        place = self._bucket.place(path)
        return Conflict(
            f"{place} was changed by another run while this one held it: nothing was overwritten; run again"
        )
