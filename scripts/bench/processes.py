"""Runs a program on a separate core and returns its cost, as counted by the kernel.

Peak memory comes from `wait4`. The count of a child starts at that of its parent, so the bench must stay small:
anything that needs pyarrow runs as a separate process.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.bench.machine import CLIENT_CORE, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SAMPLE_SECONDS = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Sample:
    """At `seconds` after the start: bytes of resident memory, and the value of the probe."""

    seconds: float
    rss: int
    probed: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a complete process. `read` and `written`: bytes through files and pipes, not sockets."""

    seconds: float
    cpu_seconds: float
    peak_rss: int
    read: int
    written: int
    output: str
    samples: tuple[Sample, ...] = ()


def measure(
    command: Sequence[str],
    folder: Path,
    environment: dict[str, str] | None = None,
    probe: Callable[[int], int] | None = None,
    allowed: tuple[int, ...] = (0,),
) -> Cost:
    """Run a command to its end, its output in files in the folder.

    With a probe, which is given the process id, memory is sampled over time.
    """
    output, errors = folder / "stdout", folder / "stderr"
    with output.open("wb") as out, errors.open("wb") as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, env={**os.environ, **(environment or {})})
        os.sched_setaffinity(process.pid, {CLIENT_CORE})
        samples = _watch(process.pid, started, probe)
        seconds = time.perf_counter() - started
        read, written = _bytes(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{errors.read_text()[-2000:]}")
    cpu, rss = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    return Cost(seconds, cpu, rss, read, written, str(output), tuple(samples))


def _watch(pid: int, started: float, probe: Callable[[int], int] | None) -> list[Sample]:
    """Wait until the process has ended; `wait4` still has to collect it."""
    samples: list[Sample] = []
    ended = os.pidfd_open(pid)
    try:
        while not select.select([ended], [], [], _SAMPLE_SECONDS if probe else None)[0]:
            if probe:
                samples.append(Sample(time.perf_counter() - started, _rss(pid), probe(pid)))
    finally:
        os.close(ended)
    return samples


def _rss(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _bytes(pid: int) -> tuple[int, int]:
    """Bytes read and written by a process that has ended and that `wait4` has not collected."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counts["rchar"]), int(counts["wchar"])
