"""The collector in a process that dies, or whose disk fails, at one step of its choosing. A program, never imported.

`python doomed.py` loads the collector once. For each line it reads, a plan (see `Plan` in `ordeal.py`) as JSON, a child
is the collector: so a death costs no loading anew. It tells the child's pid, and then its exit code.
A step is one effect on the lake's files that the plan counts: create, read, write, fsync, rename, remove, mkdir.
Each is told to the plan's trace before it happens, so the trace of a process that died ends with the step it died at.

The effects are met where Python hands them to the system, below all of the collector's own code: nothing of that is
replaced but the bounds at which it flushes and lands, so that a small run has many landings.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


class Steps:
    """Counts the effects on a lake, and strikes at the one that is to be the last, or is to fail."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._lake = plan["lake"]
        self._at, self._blow = plan["at"], plan["blow"]
        self._effects = frozenset(plan["effects"])
        self._count = 0
        self._one_at_a_time = threading.Lock()
        self._trace = os.open(plan["trace"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def concern(self, path: object) -> bool:
        """Whether it is the lake's."""
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self._lake)

    def take(self, effect: str, path: str, half: Callable[[], object] = lambda: None) -> None:
        """One step. `half`: what has already happened of it where it is cut short."""
        if effect not in self._effects or not self.concern(path):
            return
        with self._one_at_a_time:
            self._count += 1
            os.write(self._trace, f"{effect} {os.path.relpath(path, self._lake)}\n".encode())
            if self._count == self._at:
                half()
                self._strike(path)

    def _strike(self, path: str) -> None:
        if self._blow:
            raise OSError(self._blow, os.strerror(self._blow), path)
        os.kill(os.getpid(), signal.SIGKILL)


class Watched(io.FileIO):
    """A file of the lake, unbuffered: what is written is cut in the middle, what is read is not read at all."""

    steps: Steps

    def __init__(self, file: Any, mode: str, path: str) -> None:
        super().__init__(file, mode)
        self._path = path

    def write(self, data: Any) -> int:
        """Write, half of it where the step strikes."""
        whole = memoryview(data).cast("B")
        self.steps.take("write", self._path, lambda: io.FileIO.write(self, whole[: len(whole) // 2]))
        return super().write(data) or 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read."""
        self.steps.take("read", self._path)
        return super().read(size) or b""

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer."""
        self.steps.take("read", self._path)
        return super().readinto(buffer) or 0


def watch(steps: Steps) -> None:
    """Put the steps between the program and the system."""
    Watched.steps = steps
    for effect, name in {"rename": "replace", "remove": "unlink", "mkdir": "mkdir"}.items():
        setattr(os, name, partial(_told, steps, effect, getattr(os, name)))
    flush, opened = os.fsync, io.open

    def fsync(descriptor: int) -> None:
        steps.take("fsync", _path_of(descriptor))
        flush(descriptor)

    def open_(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        path = _path_of(file) if isinstance(file, int) else file
        if "b" not in mode or not steps.concern(path):
            return opened(file, mode, *rest, **options)
        if "r" not in mode:
            steps.take("create", os.fspath(path))
        raw = Watched(file, mode.replace("b", ""), os.fspath(path))
        if options.get("buffering") == 0 or 0 in rest[:1]:
            return raw
        return io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)

    os.fsync, io.open = fsync, open_  # type: ignore[assignment]  # as the system's own, for these calls


def _told(steps: Steps, effect: str, act: Callable[..., object], path: Any, *rest: Any, **options: Any) -> object:
    steps.take(effect, os.fspath(rest[0] if effect == "rename" else path))
    return act(path, *rest, **options)


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def main() -> None:
    """Load all of the program, and run it in a child for each plan."""
    from collector.cli import main  # noqa: F401  # all is loaded before the clock of a random death starts
    from collector.config import load  # noqa: F401
    from collector.show import progress, summary  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(json.loads(line))
        os.write(1, f"{child}\n".encode())
        os.write(1, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())


def run(plan: dict[str, Any]) -> NoReturn:
    """Be the collector, as a process that was started for it: with its own keys, nothing to read, stderr to a file."""
    from collector import commands
    from collector.cli.main import cli
    from collector.lake.recorder import RecorderLimits

    for descriptor, path, mode in ((0, os.devnull, os.O_RDONLY), (1, os.devnull, os.O_WRONLY)):
        os.dup2(os.open(path, mode), descriptor)
    os.dup2(os.open(plan["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.environ.update(plan["environ"])
    commands.RecorderLimits = partial(RecorderLimits, **plan["bounds"])  # type: ignore[attr-defined,assignment]
    watch(Steps(plan))
    cli(plan["arguments"], prog_name="collector")
    raise AssertionError("the command line ends by exiting")


if __name__ == "__main__":
    main()
