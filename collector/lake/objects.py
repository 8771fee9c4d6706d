"""The store in a bucket: S3, Google Cloud Storage or Azure, through obstore. A version is an ETag.

Files are staged on this machine, and a published file is sent complete in one request: a put is the atomic step, and
its condition is what exists at the path. Multipart uploads are not used, since they cannot be conditional. Nothing is
sent before it is published, so a crash leaves nothing in the bucket.

obstore's errors become LakeError here, with the status, the code and the system's reason only: obstore's own text is
long and contains requests.
"""

from __future__ import annotations

import io
import re
import tempfile
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError
from obstore.store import AzureStore, GCSStore

from collector.lake.clouds import make_client
from collector.lake.store import NO_FILE, Conflict, LakeError, LockChanged, Replacement, Stage, Staged, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed import WriteableBuffer
    from obstore import GetOptions, GetResult, ObjectMeta, PutMode, PutResult
    from obstore.store import ObjectStore as Client

    from collector.config.settings import Storage

SPOOL_BYTES = 1024 * 1024
"""How much of one file stays in memory: a landing stages all files that it replaces before it publishes the first."""

FOOTER_BYTES = 64 * 1024
"""How much of a file's end is fetched for its footer: what pyarrow reads first, and nearly always all of a footer."""

_PUT_ATTEMPTS = 4
"""How often a put is sent while its condition still holds, although the store refused it or did not reply."""

_UNCLEAR = (AlreadyExistsError, PreconditionError, GenericError)
"""Errors after which the file may have been written or not."""


class Bucket:
    """A lake's bucket and prefix, shared by all workspaces. The client is made when it is first used."""

    def __init__(self, lake: str, storage: Storage) -> None:
        self._lake, self._storage = lake.rstrip("/"), storage

    @cached_property
    def client(self) -> Client:
        """Raises LakeError if there are no usable credentials."""
        return make_client(self._lake, self._storage)

    def full_address(self, path: str) -> str:
        """The address of a file with its bucket, for messages."""
        return f"{self._lake}/{path}"


class ObjectStore:
    """A lake in a bucket, for the runs of any workspace."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The file and its version, downloaded by one request, so that it cannot be a mixture of two versions."""
        with translate_errors("read", self._bucket.full_address(path)):
            try:
                found = obstore.get(self._bucket.client, path)
            except FileNotFoundError:
                return None
            # Downloaded completely before anything is read: Parquet is read from its end, and requests for parts of a
            # file could reach two versions of it.
            file = TempFile()
            for part in found.stream():
                with translate_temp_errors():
                    file.write(part)
            file.seek(0)
            return pa.PythonFile(file, mode="r"), self._version(path, found.meta)

    def open_footer(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """The end of the file by one request; other parts by one more each, conditional on the same version."""
        address = self._bucket.full_address(path)
        with translate_errors("read", address):
            try:
                found = self._end(path)
            except FileNotFoundError:
                return None
            except (PreconditionError, GenericError) as error:
                # It was replaced between two requests, or is empty, so that it has no last bytes.
                if isinstance(error, GenericError) and _status(str(error)) != "416":
                    raise
                return self.open(path)
            start, size, version = found.range[0], found.meta["size"], self._version(path, found.meta)
            end = bytes(found.bytes())

        def fetch(first: int, stop: int) -> bytes:
            options: GetOptions = {"range": (first, stop), "if_match": f'"{version}"'}
            with translate_errors("read", address):
                try:
                    return bytes(obstore.get(self._bucket.client, path, options=options).bytes())
                except (PreconditionError, FileNotFoundError) as error:
                    raise self._conflict(path) from error

        return pa.PythonFile(io.BufferedReader(_EndOfObject(end, start, size, fetch), FOOTER_BYTES), mode="r"), version

    def list(self, folder: str) -> Mapping[str, Version]:
        """All files below the folder; empty if there are none, since a bucket has no folders."""
        with translate_errors("list", self._bucket.full_address(folder)):
            listed = obstore.list(self._bucket.client, prefix=folder)
            return {each["path"]: self._version(each["path"], each) for part in listed for each in part}

    @contextmanager
    def stage(self) -> Iterator[SpooledStage]:
        """Write a file on this machine. Nothing is sent yet."""
        with translate_temp_errors():
            stage = SpooledStage()
            yield stage
            stage.finish()

    def publish(self, replacement: Replacement) -> Version:
        """Put the file, if the file in place is the expected version. The lock file is compared just before."""
        file: TempFile = replacement.staged.handle
        with file, translate_errors("write", self._bucket.full_address(replacement.path)):
            if replacement.if_locked is not None:
                self._check_lock(*replacement.if_locked)
            with translate_temp_errors():
                file.seek(0)
                content = file.read()
            return self._put(replacement.path, content, replacement.expected)

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Delete the file. Its version is compared just before: obstore has no conditional delete."""
        with translate_errors("remove", self._bucket.full_address(path)):
            if expected is not None:
                self._check_version(path, expected)
            self._delete(path)

    def move(self, path: str, to: str) -> None:
        """Copy the file, then delete it. A crash in between leaves both."""
        with translate_errors("move", self._bucket.full_address(path)):
            content = bytes(obstore.get(self._bucket.client, path).bytes())
            self._put(to, content, NO_FILE)
            self._delete(path)

    def delete_staged(self) -> None:
        """Does nothing: a staged file has no name, and disappears with its process."""

    def _end(self, path: str) -> GetResult:
        client = self._bucket.client
        if not isinstance(client, AzureStore):
            return obstore.get(client, path, options={"range": {"suffix": FOOTER_BYTES}})
        # Azure counts from the beginning alone.
        meta = obstore.head(client, path)
        if not meta["size"]:
            return obstore.get(client, path)
        start = max(0, meta["size"] - FOOTER_BYTES)
        condition = f'"{self._version(path, meta)}"'
        return obstore.get(client, path, options={"range": (start, meta["size"]), "if_match": condition})

    def _put(self, path: str, content: bytes, expected: Version | None) -> Version:
        error: Exception | None = None
        for _ in range(_PUT_ATTEMPTS):
            try:
                return self._version(path, self._put_once(path, content, expected))
            except _UNCLEAR as unclear:
                error = unclear
            except FileNotFoundError:
                # A put that expects nothing needs no file: it is the bucket that does not exist.
                # With an expected version, it is the file that is missing: what exists now says that it is a conflict.
                if expected in (None, NO_FILE):
                    raise
            # The reply may be lost although the put was done, and obstore may have sent the put again, so that it
            # failed on the file that it had itself written. What exists now decides: with this content the put is
            # done; with another version than the expected one it is a conflict; else it is sent again. S3 also
            # answers 409 when two puts race and neither is done, which the last case covers.
            present = self._present(path)
            # The content identifies the put: it contains the id of the run, or is the same for all runs.
            if present is not None and present[0] == content:
                return present[1]
            if expected is not None and expected != (NO_FILE if present is None else present[1]):
                raise self._conflict(path)
        raise error or self._conflict(path)

    def _put_once(self, path: str, content: bytes, expected: Version | None) -> PutResult:
        mode = self._mode(path, expected)
        return obstore.put(self._bucket.client, path, content, mode=mode, use_multipart=False)

    def _mode(self, path: str, expected: Version | None) -> PutMode:
        """The condition of a put, as obstore writes it."""
        if expected is None:
            return "overwrite"
        if expected == NO_FILE:
            return "create"
        if not isinstance(self._bucket.client, GCSStore):
            return {"e_tag": f'"{expected}"'}
        # Google compares generations, which its listings do not contain: take the generation of the expected ETag.
        meta = obstore.head(self._bucket.client, path)
        if self._version(path, meta) != expected or meta["version"] is None:
            raise self._conflict(path)
        return {"version": meta["version"]}

    def _present(self, path: str) -> tuple[bytes, Version] | None:
        try:
            found = obstore.get(self._bucket.client, path)
        except FileNotFoundError:
            return None
        return bytes(found.bytes()), self._version(path, found.meta)

    def _check_lock(self, path: str, expected: Version) -> None:
        if self._present_version(path) != expected:
            raise LockChanged(f"{self._bucket.full_address(path)} was changed by another run: nothing was published")

    def _check_version(self, path: str, expected: Version) -> None:
        if self._present_version(path) != expected:
            raise self._conflict(path)

    def _present_version(self, path: str) -> Version:
        try:
            return self._version(path, obstore.head(self._bucket.client, path))
        except FileNotFoundError:
            return NO_FILE

    def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            obstore.delete(self._bucket.client, path)

    def _version(self, path: str, meta: ObjectMeta | PutResult) -> Version:
        """The ETag without its quotes, which Azure's listings omit."""
        version = (meta["e_tag"] or "").strip('"')
        if not version:
            raise LakeError(
                f"{self._bucket.full_address(path)} has no ETag: a lake needs a store with conditional writes"
            )
        return version

    def _conflict(self, path: str) -> Conflict:
        return Conflict(
            f"{self._bucket.full_address(path)} was changed by another run while this one was using it: nothing was "
            "overwritten; run again"
        )


class _EndOfObject(io.RawIOBase):
    """A file of `size` bytes whose bytes from `start` on are `end`. `fetch(first, stop)` fetches others."""

    def __init__(self, end: bytes, start: int, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._end, self._start, self._size, self._fetch = end, start, size, fetch
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Up to the boundary between what is here and what is fetched."""
        view = memoryview(buffer).cast("B")
        first = self._position
        if first >= self._start:
            data = self._end[first - self._start :][: len(view)]
        else:
            data = self._fetch(first, min(first + len(view), self._start))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


class SpooledStage(Stage):
    """A file that is being staged on this machine."""

    def __init__(self) -> None:
        self._file = TempFile()
        self.sink = pa.PythonFile(self._file, mode="w")

    def finish(self) -> None:
        """The file is complete."""
        self._staged = Staged(self._file, self._file.tell())


class TempFile(tempfile.SpooledTemporaryFile[bytes]):
    """A file in memory while it is small, else in the machine's temporary folder, without a name.

    Memory is therefore limited for a file of any size, and a process that dies leaves nothing behind.
    """

    def __init__(self) -> None:
        super().__init__(max_size=SPOOL_BYTES)

    def __del__(self) -> None:
        # An error may end its readers and stages before they close it. That is not worth a warning.
        self.close()


@contextmanager
def translate_temp_errors() -> Iterator[None]:
    """Raise the errors of a temporary folder that is full, missing or read-only as LakeError."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"cannot write to the temporary folder {tempfile.gettempdir()}: {error.strerror or error}. Free some space "
            "there, or choose another folder with TMPDIR, and run again; no landed data is lost"
        ) from error


@contextmanager
def translate_errors(verb: str, address: str) -> Iterator[None]:
    """Raise obstore's errors as LakeError, which names the address and the reason."""
    try:
        yield
    except FileNotFoundError as error:
        raise LakeError(
            f"cannot {verb} {address}: the file, bucket or container does not exist. Create the bucket, or correct "
            "`lake:`"
        ) from error
    except BaseError as error:
        raise LakeError(f"cannot {verb} {address}: {_reason(verb, str(error))}") from error


_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_SYSTEM_REASON = re.compile(r'message: "([\w ]{1,80})"')
_TIMEOUT = re.compile(r"TimedOut|timed out|deadline", re.IGNORECASE)
_DNS = re.compile(r"dns error|failed to lookup", re.IGNORECASE)
_CREDENTIALS = re.compile(r"token request|credential", re.IGNORECASE)


def _status(text: str) -> str | None:
    found = _STATUS.search(text)
    return found[1] if found else None


def _reason(verb: str, text: str) -> str:
    """What failed and what to do. obstore has one class for most errors, so the text is searched."""
    status, code, system = _STATUS.search(text), _CODE.search(text), _SYSTEM_REASON.search(text)
    if status:
        reply = " ".join(filter(None, [status[1], code[1] if code else ""]))
        return f"the store answered {reply}{_status_advice(verb, status[1])}"
    if _DNS.search(text):
        return "could not resolve the server's host name. Check `storage:` and the network"
    if _TIMEOUT.search(text):
        return "the request timed out. Run again; no landed data is lost"
    if _CREDENTIALS.search(text):
        return "could not get credentials. docs/lakes.md lists where they are searched for"
    return f"{system[1] if system else 'the connection failed'}. Run again; no landed data is lost"


def _status_advice(verb: str, status: str) -> str:
    if status in ("401", "403"):
        needed = "list and read" if verb in ("list", "read") else "list, read, write and delete"
        return f". Check the credentials; they need permission to {needed} files under the lake's prefix"
    if status in ("301", "307", "400"):
        return ". Check that storage.region is the bucket's region, and storage.endpoint the store's address"
    if status == "404":
        return ". Create the bucket, or correct `lake:`"
    return ". Run again; no landed data is lost"
