"""A process as other processes can tell it: by host, pid and start time."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process of a machine. `born` tells it from a later one with the same number ("" where that is unknown)."""

    pid: int
    host: str
    born: str

    @classmethod
    def current(cls) -> ProcessIdentity:
        """The process that asks."""
        return cls(os.getpid(), socket.gethostname(), _start_time(os.getpid()))

    def is_gone(self) -> bool:
        """Whether it surely runs no more: only a process of this machine can be known to be gone."""
        return self.host == socket.gethostname() and _start_time(self.pid) != self.born


def _start_time(pid: int) -> str:
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
