"""The program as a process of its own, as a scheduler starts it.

Every wait has a limit, and every limit is generous: these tests check what happens, not how fast.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.night import Night

TIMEOUT_SECONDS = 60.0
"""Seconds after which a wait fails its test."""


class Program:
    """One process of the program. Use as a context manager: it is killed at the end of the block."""

    _count = 0

    def __init__(self, arguments: list[str], night: Night, environ: dict[str, str]) -> None:
        Program._count += 1
        self._out, self._err = (night.folder / f"{kind}-{Program._count}.txt" for kind in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "collector", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **night.environ, **environ},
            )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    @property
    def stdout(self) -> str:
        """What the process has written to stdout so far."""
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        """What the process has written to stderr so far."""
        return self._err.read_text()

    @property
    def report(self) -> dict[str, Any]:
        """Its `--json` output."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end. Returns the exit code, which is negative if a signal killed it."""
        return self._process.wait(TIMEOUT_SECONDS)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds. Fails if the process ends before that."""
        until(lambda: condition() or not self.alive)
        assert self.alive, f"it ended with {self._process.returncode}: {self.stderr}"

    def until_it_says(self, text: str) -> None:
        """Wait for a text on stderr."""
        self.until(lambda: text in self.stderr)

    def suspend(self) -> None:
        """Suspend it with SIGSTOP, as a closed laptop or a paused machine does, until `resume`."""
        self.send(signal.SIGSTOP)
        until(lambda: _state(self.pid) == "T")

    def resume(self) -> None:
        """Resume it."""
        self.send(signal.SIGCONT)


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, or fail after `TIMEOUT_SECONDS`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # not a file on a disk
        return stat.read().rpartition(")")[2].split()[0]
