"""A store that changes nothing once its run has lost the workspace's lock, as one does that slept past its lease.

Each publication is conditional on the lock's file, in the same step, so no instant is left at which a run that wakes up
could put old answers over newer ones, or among the journals that the next run lands.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from collector.lake.errors import LakeBusy, LakeError
from collector.lake.paths import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from collector.lake.lock import Lock
    from collector.lake.store import Replacement, Stage, Store, Tag


class Guarded:
    """As the store within. Where the lock is lost, whatever fails is told as that: LakeBusy."""

    def __init__(self, store: Store, lock: Lock) -> None:
        self._store, self._lock = store, lock

    def open(self, path: str) -> tuple[pa.NativeFile, Tag] | None:
        """Reading harms nobody."""
        return self._store.open(path)

    def list(self, folder: str) -> Mapping[str, Tag]:
        """As `open`."""
        return self._store.list(folder)

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """Staged files are nobody's until they are published; the next holder sweeps them away."""
        with self._told(), self._store.stage() as stage:
            yield stage

    def publish(self, replacement: Replacement) -> Tag:
        """While the lock is held.

        What creates a file replaces no version that could be compared. So a journal's entry that was put by a store
        which looks at the lock only just before, and in that gap fell asleep and lost it, is withdrawn.
        """
        with self._told(), self._lock.held() as held:
            tag = self._store.publish(replace(replacement, while_held=held))
        if Place.of(replacement.path) is Place.JOURNAL:
            self._withdraw_unless_held(replacement.path, tag)
        return tag

    def delete(self, path: str, expected: Tag | None = None) -> None:
        """What is deleted is a journal of one's own that has landed."""
        self._store.delete(path, expected)

    def move(self, path: str, to: str) -> None:
        """While the lock is held."""
        self._lock.confirm()
        self._store.move(path, to)

    def sweep(self) -> None:
        """While the lock is held: what is staged is the holder's."""
        self._lock.confirm()
        self._store.sweep()

    def _withdraw_unless_held(self, path: str, tag: Tag) -> None:
        try:
            self._lock.confirm()
        except LakeBusy:
            with suppress(LakeError):
                self._store.delete(path, tag)
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except LakeError:
            self._lock.confirm()
            raise
