"""The identity of a process, by which another process can find out whether it still runs."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process on a host. `start_time` distinguishes it from a later one with the same pid ("" if unknown)."""

    pid: int
    host: str
    start_time: str

    @classmethod
    def current(cls) -> ProcessIdentity:
        """The process that calls this."""
        return cls(os.getpid(), socket.gethostname(), _start_time(os.getpid()))

    def has_exited(self) -> bool:
        """Whether it certainly no longer runs. False for a process on another host, which cannot be examined."""
        return self.host == socket.gethostname() and _start_time(self.pid) != self.start_time


def _start_time(pid: int) -> str:
    """When a process of this machine started, in the kernel's clock ticks; "" if it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _start_time_without_proc(pid)
    # The second field is the program's name in parentheses, which may contain anything, parentheses too: the fields
    # after the last one are the state and, 19 fields on, the start time. A zombie (Z, X) has exited, although its
    # parent has not collected its exit code yet.
    state, *others = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else others[18]


def _start_time_without_proc(pid: int) -> str:
    """A constant for a process that runs, where the system has no /proc and so no start time; "" if it does not."""
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass  # it runs, under another user
    return "alive"
