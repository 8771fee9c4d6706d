"""One run at a time for each workspace of a lake: a lease in a small file, renewed while the run lives.

The file is created only where there is none, and replaced only where it is unchanged, so two runs never both hold it.
A holder that died on this machine is seen at once (its process is gone); one elsewhere when its lease has run out. A
holder that slept past its lease finds at its next renewal that it is no longer the holder. Real time, never `--as-of`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from collector.lake import paths
from collector.lake.errors import Conflict, LakeBusy
from collector.lake.store import ABSENT, get, put

if TYPE_CHECKING:
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

    def acquire(self) -> None:
        """Take the lock. Raises LakeBusy, which names the holder, where another run has it."""
        held = get(self._store, self._path)
        expected = ABSENT
        if held is not None:
            data, expected = held
            other = _holder(data)
            if other is not None and not self._may_take_from(other):
                raise LakeBusy(_busy(self._workspace, other))
        self._write(expected)

    def renew(self) -> None:
        """Go on holding it. Raises LakeBusy where another run has taken it meanwhile."""
        self._write(self._tag)

    def release(self) -> None:
        """Give it back; nothing happens where another run has taken it."""
        with contextlib.suppress(Conflict):
            self._store.delete(self._path, self._tag)

    def _may_take_from(self, other: Holder) -> bool:
        if other.process.is_gone():
            log.warning(
                "workspace %s: run %s died (pid %d); going on from it", self._workspace, other.run_id, other.process.pid
            )
            return True
        return other.until <= self._clock.now()

    def _write(self, expected: Tag) -> None:
        holder = replace(self._holder, until=self._clock.now() + LEASE)
        try:
            self._tag = put(self._store, self._path, orjson.dumps(asdict(holder)), expected)
        except Conflict as error:
            held = get(self._store, self._path)
            other = _holder(held[0]) if held else None
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
        return f"workspace {workspace}: another run took it at this moment; it was left to that one"
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
    return stat.rpartition(")")[2].split()[19]


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
