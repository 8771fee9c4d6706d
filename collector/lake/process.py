"""The identity of a process, by which another process can find out whether it still runs."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process on a host. `start_time` distinguishes it from a later one with the same pid ("" if unknown).

    A host's name alone does not identify a machine: containers may share it, and each has pids of its own. `boot_id`
    is the kernel's, new at each start of the machine; `pid_namespace` is where the pid counts. "" where the system has
    none.
    """

    pid: int
    host: str
    start_time: str
    boot_id: str = ""
    pid_namespace: str = ""

    @classmethod
    def current(cls) -> ProcessIdentity:
        """The process that calls this."""
        pid = os.getpid()
        return cls(pid, socket.gethostname(), _start_time(pid), _boot_id(), _pid_namespace())

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> ProcessIdentity:
        """The identity that `asdict` gave. Raises KeyError, TypeError, ValueError or AttributeError for another."""
        names = ("host", "start_time"), ("boot_id", "pid_namespace")
        texts = [*(content[name] for name in names[0]), *(content.get(name, "") for name in names[1])]
        if type(content["pid"]) is not int or not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise ValueError("not the identity of a process")
        return cls(content["pid"], *texts)

    def is_visible(self) -> bool:
        """Whether it belongs to this machine and this pid namespace, so that it can be examined."""
        here = (socket.gethostname(), _boot_id(), _pid_namespace())
        return (self.host, self.boot_id, self.pid_namespace) == here

    def has_exited(self) -> bool:
        """Whether it certainly no longer runs. False for a process that is not visible from here."""
        return self.is_visible() and _start_time(self.pid) != self.start_time


def _boot_id() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _pid_namespace() -> str:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


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
    except (ProcessLookupError, OverflowError):
        return ""
    except PermissionError:
        pass  # it runs, under another user
    return "alive"
