"""The program as a process of its own, as a scheduler starts it, and the stand-in that it talks to.

Nothing is waited for without a bound, and every bound is generous: these tests say what happens, not how fast.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from collector.simulator.options import Options
from collector.simulator.server import running
from collector.simulator.simulation import Simulation
from tests.builders import NOW
from tests.night import Night, Row, make_document, truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 60.0
"""Seconds after which a test gives up waiting."""


class Site:
    """A stand-in, and a config and lake that belong to it. Each workspace needs no more than a name."""

    def __init__(
        self, folder: Path, *workspaces: dict[str, Any], options: Options | None = None, **defaults: Any
    ) -> None:
        self.night = Night(folder, make_document("http://127.0.0.1:1", *workspaces, **defaults))
        self.simulation = Simulation(self.night.settings().workspaces, options or Options(), now=NOW)

    @contextmanager
    def served(self) -> Iterator[Site]:
        """Serve it until the block is left; workspaces that were given an endpoint of their own keep it."""
        with running(self.simulation) as url:
            for workspace in self.night.document["workspaces"]:
                if workspace["endpoint"] == "http://127.0.0.1:1":
                    workspace["endpoint"] = url
            self.night.write()
            yield self

    def truth(self, *names: str) -> set[Row]:
        """What the lake holds once it has converged: of the workspaces named, or of all."""
        workspaces = [each for each in self.night.settings().workspaces if not names or each.name in names]
        return set().union(*(truth(self.simulation, each, self.simulation.now) for each in workspaces))

    def run(self, *arguments: str) -> Program:
        """Start the nightly job as of the stand-in's instant."""
        return self.call("run", "--json", "--as-of", self.simulation.now.isoformat(), *arguments)

    def call(self, *arguments: str, **environ: str) -> Program:
        """Start any command with the config and its keys."""
        return Program(["--config", str(self.night.config), *arguments], self.night, environ)

    def answered(self) -> int:
        """How many requests have had a whole answer."""
        return self.simulation.request_log.by_outcome["200"]


class Program:
    """One process. Use as a context manager: it does not outlive the block, whatever the test found."""

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
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def stdout(self) -> str:
        """What it has written there so far."""
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        """What it has written there so far."""
        return self._err.read_text()

    @property
    def report(self) -> dict[str, Any]:
        """Its `--json`."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end; the exit code, which is negative where a signal killed it."""
        return self._process.wait(PATIENCE)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds; the process must not end before."""
        until(lambda: condition() or not self.alive)
        assert self.alive, f"it ended with {self._process.returncode}: {self.stderr}"

    def until_it_says(self, text: str) -> None:
        """Wait for a text on its stderr."""
        self.until(lambda: text in self.stderr)

    def sleep(self) -> None:
        """Stop it where it is, as a laptop's lid or a paused machine does, until `wake`."""
        self.send(signal.SIGSTOP)
        until(lambda: _state(self.pid) == "T")

    def wake(self) -> None:
        """Let it go on."""
        self.send(signal.SIGCONT)


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # no file of a disk
        return stat.read().rpartition(")")[2].split()[0]
