"""One run at a time for each workspace of a lake: a lease in a small file, renewed while the run lives.

The file is created only where there is none, and replaced only where it is unchanged, so two runs never both hold it.
A holder that died on this machine is seen at once (its process is gone); one elsewhere when its lease has run out. A
holder that slept past its lease finds at its next renewal that it is no longer the holder; what it would publish before
that is refused, since publishing hangs on the lock's file (`guarded.py`). Real time, never `--as-of`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from collector.lake import paths
from collector.lake.errors import Conflict, LakeBusy, LakeError, Swept
from collector.lake.store import ABSENT, get, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.clock import Clock
    from collector.lake.store import Store, Tag

LEASE = timedelta(seconds=60)
RENEW_EVERY = LEASE / 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a machine. `born` tells it from a later one with the same number ("" where that is unknown)."""

    pid: int
    host: str
    born: str

    @classmethod
    def current(cls) -> Process:
        """The process that asks."""
        return cls(os.getpid(), socket.gethostname(), _born(os.getpid()))

    def is_gone(self) -> bool:
        """Whether it surely runs no more: only a process of this machine can be known to be gone."""
        return self.host == socket.gethostname() and _born(self.pid) != self.born


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a workspace: what the lock file says."""

    run_id: str
    process: Process
    started: datetime
    until: datetime


class Lock:
    """The lock of one workspace, for one run."""

    def __init__(self, store: Store, workspace: str, clock: Clock, run_id: str, process: Process) -> None:
        self._store, self._clock = store, clock
        self._workspace, self._path = workspace, paths.lock(workspace)
        now = clock.now()
        self._holder = Holder(run_id, process, now, now + LEASE)
        self._tag: Tag = ABSENT
        self._still = threading.Lock()  # a renewal changes the version that a publication on another thread names

    def acquire(self) -> None:
        """Take the lock. Raises LakeBusy, which names the holder, where another run has it."""
        held = get(self._store, self._path)
        expected = ABSENT
        if held is not None:
            data, expected = held
            other = _holder(data)
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
            if self._tag != ABSENT:
                self._write(self._tag)

    def release(self) -> None:
        """Give it back; nothing happens where it is not held, or another run has taken it."""
        with self._still:
            tag, self._tag = self._tag, ABSENT
            if tag != ABSENT:
                with contextlib.suppress(Conflict):
                    self._store.delete(self._path, tag)

    @contextmanager
    def held(self) -> Iterator[tuple[str, Tag]]:
        """The lock's file and its version, which no renewal changes meanwhile. Raises LakeError once given back."""
        with self._still:
            if self._tag == ABSENT:
                raise LakeError(f"workspace {self._workspace}: its lock was given back, so nothing more is written")
            yield self._path, self._tag

    def confirm(self) -> None:
        """Raise LakeBusy where the lock is this run's no more; nothing happens where that cannot be found out."""
        with self._still:
            try:
                held = get(self._store, self._path)
            except LakeError:
                return
            if self._tag not in (ABSENT, held[1] if held else ABSENT):
                raise LakeBusy(_busy(self._workspace, _holder(held[0]) if held else None))

    def _taken_by(self) -> Holder | None:
        """The other run that holds it; None where none is known to."""
        with contextlib.suppress(LakeError):
            held = get(self._store, self._path)
            other = _holder(held[0]) if held else None
            if other is not None and other.run_id != self._holder.run_id and not self._may_take_from(other):
                return other
        return None

    def _may_take_from(self, other: Holder) -> bool:
        return other.process.is_gone() or other.until <= self._clock.now()

    def _write(self, expected: Tag) -> None:
        holder = replace(self._holder, until=self._clock.now() + LEASE)
        try:
            self._tag = put(self._store, self._path, orjson.dumps(asdict(holder)), expected)
        except LakeError as error:  # whoever is first sweeps what the others have staged
            other = self._taken_by()
            if other is None and not isinstance(error, Conflict | Swept):
                raise
            raise LakeBusy(_busy(self._workspace, other)) from error


def _holder(data: bytes) -> Holder | None:
    """What a lock file says; None where it is damaged, which holds nobody up."""
    try:
        said = orjson.loads(data)
        started, until = (datetime.fromisoformat(said[name]) for name in ("started", "until"))
        return Holder(said["run_id"], Process(**said["process"]), started, until)
    except (ValueError, KeyError, TypeError):
        return None


def _busy(workspace: str, other: Holder | None) -> str:
    if other is None:
        return f"workspace {workspace}: another run has taken it meanwhile, and it was left to that one"
    who = other.process
    return (
        f"workspace {workspace}: another run holds it (pid {who.pid} on {who.host}, started "
        f"{other.started:%Y-%m-%dT%H:%M:%SZ}, run {other.run_id}); unless it renews its lease, that ends at "
        f"{other.until:%H:%M:%SZ}"
    )


def _born(pid: int) -> str:
    """When a process of this machine started, in the kernel's ticks; "" where there is none (or no /proc to ask)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _alive(pid)
    state, *others = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else others[18]  # one that is dead, and whose parent has not noticed, runs no more


def _alive(pid: int) -> str:
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
