"""One run at a time for each workspace: `WorkspaceLock`, and `FencedStore`, which writes only while it is held.

The lock is a lease in a small file, `lock.json`. The file is created only if there is none, and replaced only if it is
unchanged, so two runs never both hold it. The holder renews it until it releases it. A holder that died on this machine
is noticed at once, since its process has exited. Of one on another machine, or in another container, only the lease
counts: its `until` is an instant of a clock that may differ from this one, so where that leaves a doubt, the lock is
taken once its file has stayed unchanged for a lease (`_check_free`).

A lease alone does not stop a run that was suspended past its expiry and then resumes. `FencedStore` does: each
publication is conditional on the version of the lock file, in the same step. Such a run can neither write old answers
over newer ones nor add to a journal that the next run lands; it ends with LakeBusy.

Time is the machine's clock, never `--as-of`.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from collector import __version__
from collector.lake import paths
from collector.lake.paths import FileKind
from collector.lake.process import ProcessIdentity
from collector.lake.store import NO_FILE, Conflict, LakeBusy, LakeError, LockChanged, StageGone, get, put

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from collector.clock import Clock
    from collector.lake.store import Replacement, Stage, Store, Version

LEASE = timedelta(seconds=60)
# A renewal may come 45 seconds late, because of a slow store or a busy machine, before the lease expires.
RENEW_EVERY = LEASE / 4

# A run that waits for an unclear lease ends this soon after a stop, and this soon after the lease was renewed.
_WATCH_EVERY = LEASE / 12

_CLOCKS_DIFFER = timedelta(hours=1)
"""By how much the clocks of two machines may differ."""

_ATTEMPTS = 3
"""How often a step is tried on a file system that gives an unchanged lock file another version."""

_MOST_DIED = 20
"""Of the runs that died one after the other, so many are named."""

_LIMIT = 65_536
"""A lock file has a few hundred bytes; one that was written by hand may have any number."""

log = logging.getLogger(__name__)


class LeaseUnclear(LakeBusy):
    """Whether the owner's lease has expired is not clear yet: `acquire` again after `seconds`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class DiedRun:
    """A run that ended without releasing the lock. `as_of` is None for a repair. Instants are UTC."""

    run_id: str
    started: datetime
    as_of: datetime | None
    version: str | None


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The run that holds a lock: the content of the lock file. Instants are UTC; the lease expires at `until`.

    `as_of` is None for a repair, and in a lock file that an older version wrote; `version` (the collector's) is None
    there, too. `died`: the runs before it that left the lock behind, oldest first, since one of them may have died
    before it could record the one before.
    """

    run_id: str
    process: ProcessIdentity
    started: datetime
    until: datetime
    as_of: datetime | None = None
    version: str | None = None
    died: tuple[DiedRun, ...] = ()

    @property
    def all_died(self) -> tuple[DiedRun, ...]:
        """The runs in `died` and then this one, once it has died, too."""
        return (*self.died, DiedRun(self.run_id, self.started, self.as_of, self.version))[-_MOST_DIED:]


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
        # The content of another run's lock file, and since when (monotonic) `acquire` has seen it unchanged.
        self._watched: tuple[bytes, float] | None = None

    def acquire(self) -> LockOwner | None:
        """Take the lock. Raises LakeBusy, which names the owner, if another run holds it.

        Returns the owner of a lock that was left behind: a run that ended without releasing it, or None. Raises
        LeaseUnclear if that takes another call to find out.
        """
        found = get(self._store, self._path, _LIMIT)
        # A lock file that is damaged has no owner, and is replaced like one that has expired.
        other = _read_owner(found[0]) if found else None
        if found and other is not None:
            self._check_free(other, found[0])
            log.warning(
                "workspace %s: run %s (pid %d) ended without releasing its lock; continuing from its data",
                self._workspace,
                other.run_id,
                other.process.pid,
            )
            self._owner = replace(self._owner, died=other.all_died)
        # Two runs may both have found the lock free. The write is conditional on the version that was read (NO_FILE
        # for none), so one of them succeeds, and the other one raises LakeBusy.
        with self._mutex:
            self._write(found)
        return other

    @property
    def is_held(self) -> bool:
        """Whether this run took the lock, and has not released it. It may have lost it since."""
        return self._version != NO_FILE

    def renew(self) -> None:
        """Extend the lease, if it was not released. Raises LakeBusy if another run has taken the lock."""
        with self._mutex:
            if self._version != NO_FILE:
                self._write((b"", self._version))

    def release(self) -> None:
        """Delete the lock file, if it is still this run's."""
        with self._mutex:
            # First this run's own record: even if the deletion fails, nothing is published or renewed after this.
            version, self._version = self._version, NO_FILE
            for _ in range(_ATTEMPTS if version != NO_FILE else 0):
                try:
                    return self._store.delete(self._path, version)
                except Conflict:
                    found = self._found()
                    if found is None or not self._is_own(found[0]):
                        return None
                    version = found[1]
        return None

    @contextmanager
    def current_version(self) -> Iterator[tuple[str, Version]]:
        """The lock file's path and version, which no renewal changes in the block. Raises LakeError once released."""
        with self._mutex:
            if self._version == NO_FILE:
                raise LakeError(f"workspace {self._workspace}: the lock was released, so nothing more can be written")
            yield self._path, self._version

    def check_held(self) -> None:
        """Raise LakeBusy if another run has taken the lock. Does nothing if the lock file cannot be read.

        The run id in the file decides: a file system may give an unchanged file another version.
        """
        with self._mutex:
            if self._version == NO_FILE:
                return
            try:
                found = get(self._store, self._path, _LIMIT)
            except LakeError:
                return
            if found is None or not self._is_own(found[0]):
                raise LakeBusy(_busy_message(self._workspace, _read_owner(found[0]) if found else None))
            self._version = found[1]

    def unstable(self) -> LakeError:
        """The error for a lock file that changes its version, and not its content."""
        return LakeError(
            f"workspace {self._workspace}: this run holds the lock, but {self._path} seems to change without being "
            "written: the lake's file system does not keep the time or the inode number of a file. A lake needs one "
            "that does. With FUSE, mount it with use_ino or noforget, if it has these options; or use another one"
        )

    def _write(self, replaced: tuple[bytes, Version] | None) -> None:
        """Write a lease that starts now, in place of a content and version (None: no file).

        Raises LakeBusy if another run was faster, and the store's error if not.
        """
        content, expected = replaced or (b"", NO_FILE)
        data = orjson.dumps(replace(self._owner, until=self._clock.now() + LEASE))
        for _ in range(_ATTEMPTS):
            try:
                self._version = put(self._store, self._path, data, expected)
            except LakeError as error:
                found = self._found()
                if found is None or not (self._is_own(found[0]) or found[0] == content):
                    self._raise_lost(error, found)
                if not isinstance(error, Conflict):
                    if found[0] == data:  # it was published, and something failed after that
                        self._version = found[1]
                    raise
                expected = found[1]
            else:
                return
        raise self.unstable()

    def _raise_lost(self, error: LakeError, found: tuple[bytes, Version] | None) -> NoReturn:
        """Raise LakeBusy where a write has failed because of another run, else the store's error."""
        # Of runs that start together one wins, and then deletes what the others have staged, the lock files among
        # them. What the others see depends on the moment (a conflict, a missing file, another error of the file
        # system), so it is the lock file itself that says whether another run has won.
        other = _read_owner(found[0]) if found else None
        if other is not None and (other.process.has_exited() or other.until <= self._clock.now()):
            other = None
        if other is None and not isinstance(error, Conflict | StageGone):
            raise error
        raise LakeBusy(_busy_message(self._workspace, other)) from error

    def _found(self) -> tuple[bytes, Version] | None:
        """The lock file's content and version; None if there is none, or it cannot be read."""
        with suppress(LakeError):
            return get(self._store, self._path, _LIMIT)
        return None

    def _is_own(self, content: bytes) -> bool:
        owner = _read_owner(content)
        return owner is not None and owner.run_id == self._owner.run_id

    def _check_free(self, owner: LockOwner, content: bytes) -> None:
        """Raise LakeBusy unless a lock with this owner and content may be taken."""
        if owner.process.has_exited():
            return
        left = owner.until - self._clock.now()
        if timedelta(0) < left <= LEASE:
            raise LakeBusy(_busy_message(self._workspace, owner))
        if left <= (timedelta(0) if owner.process.is_visible() else -_CLOCKS_DIFFER):
            return
        # The lease has expired by this machine's clock, but perhaps not by its owner's; or it lasts longer than a lease
        # can, by an owner's clock that is ahead, or by a hand. An owner that is alive renews it within a lease.
        now = self._clock.monotonic()
        self._watched = self._watched or (content, now)
        if self._watched[0] != content:
            raise LakeBusy(_busy_message(self._workspace, owner))
        remaining = self._watched[1] + LEASE.total_seconds() - now
        if remaining > 0:
            message = f"{_busy_message(self._workspace, owner)}, by the clock of that machine, which may differ"
            raise LeaseUnclear(message, min(remaining, _WATCH_EVERY.total_seconds()))


class FencedStore:
    """A store that changes nothing unless the lock is held. Once it is lost, failures are raised as LakeBusy."""

    def __init__(self, store: Store, lock: WorkspaceLock) -> None:
        self._store, self._lock = store, lock

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """Needs no lock: a read changes nothing."""
        return self._store.open(path)

    def open_footer(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """Needs no lock."""
        return self._store.open_footer(path)

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
        try:
            with self._busy_if_lost(), self._lock.current_version() as locked:
                version = self._store.publish(replace(replacement, if_locked=locked))
        except LockChanged as error:  # and yet the lock is held
            raise self._lock.unstable() from error
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


def read_lock(store: Store, workspace: str, now: datetime) -> str:
    """The run that holds the lock, or left it behind, as a sentence; empty where there is none. Takes no lock."""
    found = get(store, paths.lock(workspace), _LIMIT)
    owner = _read_owner(found[0]) if found else None
    if owner is None:
        return ""
    began = f"{owner.started:%Y-%m-%dT%H:%M:%SZ}"
    if owner.process.has_exited() or owner.until <= now:
        return f"run {owner.run_id}, started {began}, did not end: the next run continues from its data"
    return f"run {owner.run_id} is at work since {began} (pid {owner.process.pid} on {owner.process.host})"


def _read_owner(data: bytes) -> LockOwner | None:
    """The content of a lock file; None if it is damaged: such a file locks nothing."""
    try:
        content = orjson.loads(data)
        as_of, version = content.get("as_of"), content.get("version")
        return LockOwner(
            _text(content["run_id"]),
            ProcessIdentity.of(content["process"]),
            _instant(content["started"]),
            _instant(content["until"]),
            None if as_of is None else _instant(as_of),
            None if version is None else _text(version),
            tuple(_read_died(each) for each in content.get("died", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _read_died(content: dict[str, Any]) -> DiedRun:
    as_of, version = content["as_of"], content["version"]
    return DiedRun(
        _text(content["run_id"]),
        _instant(content["started"]),
        None if as_of is None else _instant(as_of),
        None if version is None else _text(version),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("not a line of text")
    return value


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
