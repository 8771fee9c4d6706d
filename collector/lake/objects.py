"""The store on an object store: a put is the atomic step, and it may hang on what is there.

A tag is an ETag. Files are staged on this machine and travel whole in one request, for conditions and multipart uploads
exclude each other. A put whose answer is lost, and that is sent again, meets its own work: what is there is compared.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError
from obstore.store import GCSStore

from collector.lake.clouds import make_client
from collector.lake.errors import Conflict, LakeError
from collector.lake.spool import Spool, SpooledStage, spooling
from collector.lake.store import ABSENT, Replacement, Tag
from collector.lake.unreachable import explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from obstore import ObjectMeta, PutMode, PutResult
    from obstore.store import ObjectStore as Client

    from collector.config.settings import Storage

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

    def open(self, path: str) -> tuple[pa.NativeFile, Tag] | None:
        """The file, fetched whole by one request, so that no two versions meet in it."""
        with explained("read", self._bucket.place(path)):
            try:
                found = obstore.get(self._bucket.client, path)
            except FileNotFoundError:
                return None
            spool = Spool()
            for part in found.stream():
                with spooling():
                    spool.write(part)
            return spool.reader(), self._tag(path, found.meta)

    def list(self, folder: str) -> Mapping[str, Tag]:
        """All files below the folder."""
        with explained("list", self._bucket.place(folder)):
            listed = obstore.list(self._bucket.client, prefix=folder)
            return {each["path"]: self._tag(each["path"], each) for part in listed for each in part}

    @contextmanager
    def stage(self) -> Iterator[SpooledStage]:
        """Write on this machine; nothing is sent yet."""
        with spooling():
            stage = SpooledStage()
            yield stage
            stage.finish()

    def publish(self, replacement: Replacement) -> Tag:
        """Put it, if what is there is what was expected. The lock's file is looked at just before."""
        spool: Spool = replacement.staged.handle
        try:
            with explained("write", self._bucket.place(replacement.path)):
                if replacement.while_held is not None:
                    self._check(*replacement.while_held)
                with spooling():
                    content = spool.content()
                return self._put(replacement.path, content, replacement.expected)
        finally:
            spool.close()

    def delete(self, path: str, expected: Tag | None = None) -> None:
        """Remove the file. No store compares and removes in one step through this library: it is looked at before."""
        with explained("remove", self._bucket.place(path)):
            if expected is not None:
                self._check(path, expected)
            self._remove(path)

    def move(self, path: str, to: str) -> None:
        """Copy, then remove."""
        with explained("move", self._bucket.place(path)):
            content = bytes(obstore.get(self._bucket.client, path).bytes())
            self._put(to, content, ABSENT)
            self._remove(path)

    def sweep(self) -> None:
        """Nothing is to be done: what is staged has no name, and goes with its process."""

    def _put(self, path: str, content: bytes, expected: Tag | None) -> Tag:
        doubt: Exception | None = None
        for _ in range(_PUTS):
            try:
                return self._tag(path, self._put_once(path, content, expected))
            except _DOUBTFUL as error:
                doubt = error
            except FileNotFoundError:
                if expected in (None, ABSENT):
                    raise  # not the file is missing, but the bucket
            present = self._present(path)
            if present is not None and present[0] == content:
                return present[1]
            if expected is not None and expected != (ABSENT if present is None else present[1]):
                raise self._conflict(path)
        raise doubt or self._conflict(path)

    def _put_once(self, path: str, content: bytes, expected: Tag | None) -> PutResult:
        mode = self._mode(path, expected)
        return obstore.put(self._bucket.client, path, content, mode=mode, use_multipart=False)

    def _mode(self, path: str, expected: Tag | None) -> PutMode:
        if expected is None:
            return "overwrite"
        if expected == ABSENT:
            return "create"
        if not isinstance(self._bucket.client, GCSStore):
            return {"e_tag": f'"{expected}"'}
        meta = obstore.head(self._bucket.client, path)  # Google compares generations, which no listing tells
        if self._tag(path, meta) != expected or meta["version"] is None:
            raise self._conflict(path)
        return {"version": meta["version"]}

    def _present(self, path: str) -> tuple[bytes, Tag] | None:
        try:
            found = obstore.get(self._bucket.client, path)
        except FileNotFoundError:
            return None
        return bytes(found.bytes()), self._tag(path, found.meta)

    def _check(self, path: str, expected: Tag) -> None:
        try:
            present = self._tag(path, obstore.head(self._bucket.client, path))
        except FileNotFoundError:
            present = ABSENT
        if present != expected:
            raise self._conflict(path)

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            obstore.delete(self._bucket.client, path)

    def _tag(self, path: str, said: ObjectMeta | PutResult) -> Tag:
        """The ETag without its quotes, which listings of Azure leave out."""
        tag = (said["e_tag"] or "").strip('"')
        if not tag:
            raise LakeError(
                f"{self._bucket.place(path)} has no ETag: this store cannot hold a lake, it compares nothing"
            )
        return tag

    def _conflict(self, path: str) -> Conflict:
        place = self._bucket.place(path)
        return Conflict(
            f"{place} was changed by another run while this one held it: nothing was overwritten; run again"
        )
