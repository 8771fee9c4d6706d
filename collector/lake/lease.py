"""One run at a time for each workspace: `WorkspaceLock`, and `FencedStore`, which writes only while it is held.

The lock is a lease in a small file, `lock.json`. The file is created only if there is none, and replaced only if it is
unchanged, so two runs never both hold it. The holder renews it until it releases it. A holder that died on this host is
noticed at once, since its process has exited; one on another host when its lease has expired.

A lease alone does not stop a run that was suspended past its expiry and then resumes. `FencedStore` does: each
publication is conditional on the version of the lock file, in the same step. Such a run can neither write old answers
over newer ones nor add to a journal that the next run lands; it ends with LakeBusy.

Time is the machine's clock, never `--as-of`.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from collector import __version__
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
# A renewal may come 45 seconds late, because of a slow store or a busy machine, before the lease expires.
RENEW_EVERY = LEASE / 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The run that holds a lock: the content of the lock file. Instants are UTC; the lease expires at `until`.

    `as_of` is None for a repair, and in a lock file that an older version wrote; `version` (the collector's) is None
    there, too.
    """

    run_id: str
    process: ProcessIdentity
    started: datetime
    until: datetime
    as_of: datetime | None = None
    version: str | None = None


class WorkspaceLock:
    """The lock of one workspace, for one run. Its methods may be called from any thread. `as_of`: None for a repair."""

    def __init__(
        self,
        store: Store,
        workspace: str,
        clock: Clock,
        run_id: str,
        process: ProcessIdentity,
        as_of: datetime | None = None,
    ) -> None:
        self._store, self._clock = store, clock
        self._workspace, self._path = workspace, paths.lock(workspace)
        now = clock.now()
        self._owner = LockOwner(run_id, process, now, now + LEASE, as_of, __version__)
        # The version of this run's lock file; NO_FILE while it does not hold the lock. A renewal changes it. The
        # mutex keeps renewals out while a publication on another thread is conditional on it.
        self._version: Version = NO_FILE
        self._mutex = threading.Lock()

    def acquire(self) -> LockOwner | None:
        """Take the lock. Raises LakeBusy, which names the owner, if another run holds it.

        Returns the owner of a lock that was left behind: a run that ended without releasing it, or None.
        """
        version, other = NO_FILE, None
        # A lock file that is damaged has no owner, and is replaced like one that has expired.
        found = get(self._store, self._path)
        if found is not None:
            data, version = found
            other = _read_owner(data)
        if other is not None and not self._is_free(other):
            raise LakeBusy(_busy_message(self._workspace, other))
        if other is not None and other.process.has_exited():
            log.warning(
                "workspace %s: run %s (pid %d) ended without releasing its lock; continuing from its data",
                self._workspace,
                other.run_id,
                other.process.pid,
            )
        # Two runs may both have found the lock free. The write is conditional on the version that was read (NO_FILE
        # for none), so one of them succeeds, and the other one raises LakeBusy.
        with self._mutex:
            self._write(version)
        return other

    def renew(self) -> None:
        """Extend the lease, if it was not released. Raises LakeBusy if another run has taken the lock."""
        with self._mutex:
            if self._version != NO_FILE:
                self._write(self._version)

    def release(self) -> None:
        """Delete the lock file, if it is still this run's."""
        with self._mutex:
            # First this run's own record: even if the deletion fails, nothing is published or renewed after this.
            version, self._version = self._version, NO_FILE
            if version != NO_FILE:
                with suppress(Conflict):
                    self._store.delete(self._path, version)

    @contextmanager
    def current_version(self) -> Iterator[tuple[str, Version]]:
        """The lock file's path and version, which no renewal changes in the block. Raises LakeError once released."""
        with self._mutex:
            if self._version == NO_FILE:
                raise LakeError(f"workspace {self._workspace}: the lock was released, so nothing more can be written")
            yield self._path, self._version

    def check_held(self) -> None:
        """Raise LakeBusy if another run has taken the lock. Does nothing if the lock file cannot be read."""
        with self._mutex:
            try:
                found = get(self._store, self._path)
            except LakeError:
                return
            # Not lost where this run holds no lock (NO_FILE), or where the file has the version that it wrote last.
            if self._version not in (NO_FILE, found[1] if found else NO_FILE):
                raise LakeBusy(_busy_message(self._workspace, _read_owner(found[0]) if found else None))

    def _write(self, expected: Version) -> None:
        """Write a lease that starts now. Raises LakeBusy if another run was faster, and the store's error if not."""
        owner = replace(self._owner, until=self._clock.now() + LEASE)
        try:
            self._version = put(self._store, self._path, orjson.dumps(asdict(owner)), expected)
        except LakeError as error:
            # Of runs that start together one wins, and then deletes what the others have staged, the lock files
            # among them. What the others see depends on the moment (a conflict, a missing file, another error of the
            # file system), so it is the lock file itself that says whether another run has won.
            other = self._other_owner()
            if other is None and not isinstance(error, Conflict | StageGone):
                raise
            raise LakeBusy(_busy_message(self._workspace, other)) from error

    def _other_owner(self) -> LockOwner | None:
        """Another run that holds the lock; None if there is none, or the lock file cannot be read."""
        with suppress(LakeError):
            found = get(self._store, self._path)
            other = _read_owner(found[0]) if found else None
            if other is not None and other.run_id != self._owner.run_id and not self._is_free(other):
                return other
        return None

    def _is_free(self, owner: LockOwner) -> bool:
        """Whether a lock with this owner may be taken."""
        # A holder on another host cannot be examined: there only the expiry counts.
        return owner.process.has_exited() or owner.until <= self._clock.now()


class FencedStore:
    """A store that changes nothing unless the lock is held. Once it is lost, failures are raised as LakeBusy."""

    def __init__(self, store: Store, lock: WorkspaceLock) -> None:
        self._store, self._lock = store, lock

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """Needs no lock: a read changes nothing."""
        return self._store.open(path)

    def list(self, folder: str) -> Mapping[str, Version]:
        """Needs no lock."""
        return self._store.list(folder)

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """Needs no lock: no reader sees a staged file, and the next holder of the lock deletes it."""
        with self._busy_if_lost(), self._store.stage() as stage:
            yield stage

    def publish(self, replacement: Replacement) -> Version:
        """Publish, on the condition that the lock file is unchanged."""
        # A renewal would change the version of the lock file between its comparison and the publication, so renewals
        # wait for the end of the block.
        with self._busy_if_lost(), self._lock.current_version() as locked:
            version = self._store.publish(replace(replacement, if_locked=locked))
        # An object store compares the lock file just before the put, so a run that is suspended between the two can
        # still publish after it has lost the lock. For a file that replaces another, the version of that file stops
        # it. A journal entry replaces nothing: check the lock once more, and delete the entry if it is lost.
        if FileKind.of(replacement.path) is FileKind.JOURNAL:
            self._delete_unless_held(replacement.path, version)
        return version

    def delete(self, path: str, expected: Version | None = None) -> None:
        """Needs no lock: only journals that this run has landed are deleted."""
        self._store.delete(path, expected)

    def move(self, path: str, to: str) -> None:
        """Move, after a check of the lock."""
        self._lock.check_held()
        self._store.move(path, to)

    def delete_staged(self) -> None:
        """Delete staged files, which are the lock holder's, after a check of the lock."""
        self._lock.check_held()
        self._store.delete_staged()

    def _delete_unless_held(self, path: str, version: Version) -> None:
        try:
            self._lock.check_held()
        except LakeBusy:
            with suppress(LakeError):
                self._store.delete(path, version)
            raise

    @contextmanager
    def _busy_if_lost(self) -> Iterator[None]:
        """A run that has lost its lock meets errors of many kinds; the lost lock is the one to report."""
        try:
            yield
        except LakeError:
            self._lock.check_held()
            raise


def _read_owner(data: bytes) -> LockOwner | None:
    """The content of a lock file; None if it is damaged: such a file locks nothing."""
    try:
        content = orjson.loads(data)
        as_of, version = content.get("as_of"), content.get("version")
        return LockOwner(
            str(content["run_id"]),
            ProcessIdentity(**content["process"]),
            _instant(content["started"]),
            _instant(content["until"]),
            None if as_of is None else _instant(as_of),
            None if version is None else str(version),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _instant(text: str) -> datetime:
    """An instant in UTC. Raises ValueError for one without an offset."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant needs an offset")
    return instant.astimezone(UTC)


def _busy_message(workspace: str, other: LockOwner | None) -> str:
    if other is None:
        return f"workspace {workspace}: another run has taken over this workspace; this run has stopped"
    process = other.process
    return (
        f"workspace {workspace} is locked by another run (pid {process.pid} on {process.host}, started "
        f"{other.started:%Y-%m-%dT%H:%M:%SZ}, run {other.run_id}). The lock expires at {other.until:%H:%M:%SZ} unless "
        "that run renews it"
    )
