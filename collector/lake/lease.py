"""One run at a time for each workspace of a lake: a lease in a small file, renewed while the run lives.

The file is created only where there is none, and replaced only where it is unchanged, so two runs never both hold it.
A holder that died on this machine is seen at once (its process is gone); one elsewhere when its lease has run out. A
holder that slept past its lease finds at its next renewal that it is no longer the holder; what it would publish before
that is refused, since publishing hangs on the lock's file (`guarded.py`). Real time, never `--as-of`.

A store that changes nothing once its run has lost the workspace's lock, as one does that slept past its lease.

Each publication is conditional on the lock's file, in the same step, so no instant is left at which a run that wakes up
could put old answers over newer ones, or among the journals that the next run lands.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from collector.lake import paths
from collector.lake.paths import FileKind
from collector.lake.process import ProcessIdentity
from collector.lake.store import NO_FILE, Conflict, LakeBusy, LakeError, StageGone, get, put

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from collector.clock import Clock
    from collector.lake.store import Replacement, Stage, Store, Version


LEASE = timedelta(seconds=60)
RENEW_EVERY = LEASE / 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Who holds a workspace: what the lock file says."""

    run_id: str
    process: ProcessIdentity
    started: datetime
    until: datetime


class WorkspaceLock:
    """The lock of one workspace, for one run."""

    def __init__(self, store: Store, workspace: str, clock: Clock, run_id: str, process: ProcessIdentity) -> None:
        self._store, self._clock = store, clock
        self._workspace, self._path = workspace, paths.lock(workspace)
        now = clock.now()
        self._holder = LockOwner(run_id, process, now, now + LEASE)
        self._version: Version = NO_FILE
        self._still = threading.Lock()  # a renewal changes the version that a publication on another thread names

    def acquire(self) -> None:
        """Take the lock. Raises LakeBusy, which names the holder, where another run has it."""
        held = get(self._store, self._path)
        expected = NO_FILE
        if held is not None:
            data, expected = held
            other = _read_owner(data)
            if other is not None and not self._may_take_from(other):
                raise LakeBusy(_busy(self._workspace, other))
            if other is not None and other.process.is_gone():
                pid = other.process.pid
                log.warning("workspace %s: run %s died (pid %d); going on from it", self._workspace, other.run_id, pid)
        with self._still:
            self._write(expected)

    def renew(self) -> None:
        """Go on holding it; nothing happens where it was given back. Raises LakeBusy where another run has taken it."""
        with self._still:
            if self._version != NO_FILE:
                self._write(self._version)

    def release(self) -> None:
        """Give it back; nothing happens where it is not held, or another run has taken it."""
        with self._still:
            version, self._version = self._version, NO_FILE
            if version != NO_FILE:
                with contextlib.suppress(Conflict):
                    self._store.delete(self._path, version)

    @contextmanager
    def held(self) -> Iterator[tuple[str, Version]]:
        """The lock's file and its version, which no renewal changes meanwhile. Raises LakeError once given back."""
        with self._still:
            if self._version == NO_FILE:
                raise LakeError(f"workspace {self._workspace}: its lock was given back, so nothing more is written")
            yield self._path, self._version

    def confirm(self) -> None:
        """Raise LakeBusy where the lock is this run's no more; nothing happens where that cannot be found out."""
        with self._still:
            try:
                held = get(self._store, self._path)
            except LakeError:
                return
            if self._version not in (NO_FILE, held[1] if held else NO_FILE):
                raise LakeBusy(_busy(self._workspace, _read_owner(held[0]) if held else None))

    def _taken_by(self) -> LockOwner | None:
        """The other run that holds it; None where none is known to."""
        with contextlib.suppress(LakeError):
            held = get(self._store, self._path)
            other = _read_owner(held[0]) if held else None
            if other is not None and other.run_id != self._holder.run_id and not self._may_take_from(other):
                return other
        return None

    def _may_take_from(self, other: LockOwner) -> bool:
        return other.process.is_gone() or other.until <= self._clock.now()

    def _write(self, expected: Version) -> None:
        holder = replace(self._holder, until=self._clock.now() + LEASE)
        try:
            self._version = put(self._store, self._path, orjson.dumps(asdict(holder)), expected)
        except LakeError as error:  # whoever is first sweeps what the others have staged
            other = self._taken_by()
            if other is None and not isinstance(error, Conflict | StageGone):
                raise
            raise LakeBusy(_busy(self._workspace, other)) from error


def _read_owner(data: bytes) -> LockOwner | None:
    """What a lock file says; None where it is damaged, which holds nobody up."""
    try:
        said = orjson.loads(data)
        started, until = (datetime.fromisoformat(said[name]) for name in ("started", "until"))
        return LockOwner(said["run_id"], ProcessIdentity(**said["process"]), started, until)
    except (ValueError, KeyError, TypeError):
        return None


def _busy(workspace: str, other: LockOwner | None) -> str:
    if other is None:
        return f"workspace {workspace}: another run has taken it meanwhile, and it was left to that one"
    who = other.process
    return (
        f"workspace {workspace}: another run holds it (pid {who.pid} on {who.host}, started "
        f"{other.started:%Y-%m-%dT%H:%M:%SZ}, run {other.run_id}); unless it renews its lease, that ends at "
        f"{other.until:%H:%M:%SZ}"
    )


class FencedStore:
    """As the store within. Where the lock is lost, whatever fails is told as that: LakeBusy."""

    def __init__(self, store: Store, lock: WorkspaceLock) -> None:
        self._store, self._lock = store, lock

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """Reading harms nobody."""
        return self._store.open(path)

    def list(self, folder: str) -> Mapping[str, Version]:
        """As `open`."""
        return self._store.list(folder)

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """Staged files are nobody's until they are published; the next holder sweeps them away."""
        with self._told(), self._store.stage() as stage:
            yield stage

    def publish(self, replacement: Replacement) -> Version:
        """While the lock is held.

        What creates a file replaces no version that could be compared. So a journal's entry that was put by a store
        which looks at the lock only just before, and in that gap fell asleep and lost it, is withdrawn.
        """
        with self._told(), self._lock.held() as held:
            version = self._store.publish(replace(replacement, if_locked=held))
        if FileKind.of(replacement.path) is FileKind.JOURNAL:
            self._withdraw_unless_held(replacement.path, version)
        return version

    def delete(self, path: str, expected: Version | None = None) -> None:
        """What is deleted is a journal of one's own that has landed."""
        self._store.delete(path, expected)

    def move(self, path: str, to: str) -> None:
        """While the lock is held."""
        self._lock.confirm()
        self._store.move(path, to)

    def delete_staged(self) -> None:
        """While the lock is held: what is staged is the holder's."""
        self._lock.confirm()
        self._store.delete_staged()

    def _withdraw_unless_held(self, path: str, version: Version) -> None:
        try:
            self._lock.confirm()
        except LakeBusy:
            with suppress(LakeError):
                self._store.delete(path, version)
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except LakeError:
            self._lock.confirm()
            raise
