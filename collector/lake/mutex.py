"""One process at a time, by `flock` on a file: for the milliseconds in which a file is compared and renamed."""

from __future__ import annotations

import fcntl
import math
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from collector.lake.errors import LakeBusy

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 30.0
"""How long to wait for another process to publish, which takes milliseconds; a lease must be renewed meanwhile."""

_PAUSE_SECONDS = 0.02


@contextmanager
def held(file: Path, patience_seconds: float) -> Iterator[None]:
    """Hold the mutex in the block. Raises LakeBusy where another process does not let go of it in time."""
    with file.open("ab") as mutex:
        for _ in range(math.ceil(patience_seconds / _PAUSE_SECONDS)):
            try:
                fcntl.flock(mutex, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_SECONDS)
            else:
                yield
                return
        raise LakeBusy(
            f"{file} has been held for {patience_seconds:g} s by {_holder(mutex.fileno())}, which must have been "
            "stopped while it published a file: let it go on, or end it, and run again"
        )


def _holder(descriptor: int) -> str:
    """The process that has the file locked, as far as the kernel tells."""
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            _, kind, _, _, pid, file, *_ = line.split()
            if kind == "FLOCK" and file.endswith(f":{os.fstat(descriptor).st_ino}"):
                return f"pid {pid}"
    return "another process"
