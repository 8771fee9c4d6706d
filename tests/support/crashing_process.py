"""The collector in a process that is killed, or whose disk fails, at a chosen step. A program, never imported.

`python crashing_process.py` loads the collector once. Each line of its input is a plan (`CrashPlan` in `crash_test.py`)
as JSON, and is run by a forked child, so that a crash does not cost the loading of the collector. The output is two
lines a child: its pid, then its exit code.

A step is one effect on the lake that the plan counts: create, read, write, fsync, rename, remove, mkdir of a file, or
put, delete of an object. Each is written to the trace before it happens, so the last line of the trace of a process
that was killed is the step it was killed at.

The effects are intercepted where Python hands them to the system, or obstore takes them: below all of the collector's
own code. Nothing of the collector is replaced but the limits at which it flushes and lands, so that a small run has
many landings.
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
    """Counts the effects on a lake, and crashes or fails at the planned one."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._lake = plan["lake"]
        self._at: int = plan["at"]
        self._errno: int = plan["errno"]
        self._done_first: bool = plan["done_first"]
        self._effects = frozenset(plan["effects"])
        self._count = 0
        self._lock = threading.Lock()
        self._trace = os.open(plan["trace"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def is_of_lake(self, path: object) -> bool:
        """Whether a path is below the lake's folder."""
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self._lake)

    def take_file_step(self, effect: str, path: str, half: Callable[[], object] = lambda: None) -> None:
        """Count an effect on a file that is about to happen. `half` does half of it, for a crash in the middle."""
        if effect in self._effects and self.is_of_lake(path):
            with self._lock:
                if self._is_planned(effect, os.path.relpath(path, self._lake)):
                    half()
                    self._crash(path)

    def take_object_step(self, effect: str, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Do an effect on an object, and crash before it or, if the plan says `done_first`, after it."""
        planned = effect in self._effects and self._is_planned(effect, str(arguments[1]))
        if planned and not self._done_first:
            self._crash(str(arguments[1]))
        result = act(*arguments, **options)
        if planned:
            self._crash(str(arguments[1]))
        return result

    def _is_planned(self, effect: str, path: str) -> bool:
        self._count += 1
        os.write(self._trace, f"{effect} {path}\n".encode())
        return self._count == self._at

    def _crash(self, path: str) -> None:
        if self._errno:
            raise OSError(self._errno, os.strerror(self._errno), path)
        os.kill(os.getpid(), signal.SIGKILL)


class WatchedFile(io.FileIO):
    """A file of the lake, unbuffered. A crash leaves half of a write, and nothing of a read."""

    steps: Steps

    def __init__(self, file: Any, mode: str, path: str) -> None:
        super().__init__(file, mode)
        self._path = path

    def write(self, data: Any) -> int:
        """Write all of the data, or half of it if the process crashes here."""
        content = memoryview(data).cast("B")
        self.steps.take_file_step("write", self._path, lambda: io.FileIO.write(self, content[: len(content) // 2]))
        return super().write(data) or 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes."""
        self.steps.take_file_step("read", self._path)
        return super().read(size) or b""

    def readall(self) -> bytes:
        """Read to the end."""
        self.steps.take_file_step("read", self._path)
        return super().readall() or b""

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer."""
        self.steps.take_file_step("read", self._path)
        return super().readinto(buffer) or 0


def watch_files(steps: Steps) -> None:
    """Put the steps between the collector and the file system."""
    WatchedFile.steps = steps
    for effect, name in {"rename": "replace", "remove": "unlink", "mkdir": "mkdir"}.items():
        setattr(os, name, partial(_counted, steps, effect, getattr(os, name)))
    flush, system_open = os.fsync, io.open

    def fsync(descriptor: int) -> None:
        steps.take_file_step("fsync", _path_of(descriptor))
        flush(descriptor)

    def open_(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        path = _path_of(file) if isinstance(file, int) else file
        if "b" not in mode or not steps.is_of_lake(path):
            return system_open(file, mode, *rest, **options)
        if "r" not in mode:
            steps.take_file_step("create", os.fspath(path))
        raw = WatchedFile(file, mode.replace("b", ""), os.fspath(path))
        if options.get("buffering") == 0 or 0 in rest[:1]:
            return raw
        return io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)

    os.fsync, io.open = fsync, open_  # type: ignore[assignment]  # same as the system's own, for these calls


def watch_objects(steps: Steps) -> None:
    """Put the steps between the collector and the object store."""
    import obstore

    for effect in ("put", "delete"):
        setattr(obstore, effect, partial(steps.take_object_step, effect, getattr(obstore, effect)))


def _counted(steps: Steps, effect: str, act: Callable[..., object], path: Any, *rest: Any, **options: Any) -> object:
    steps.take_file_step(effect, os.fspath(rest[0] if effect == "rename" else path))
    return act(path, *rest, **options)


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def main() -> None:
    """Load all of the collector, and run each plan in a child."""
    from collector.cli import main  # noqa: F401  # all is loaded before the delay of a random kill starts
    from collector.config import load  # noqa: F401
    from collector.show import progress, summary  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(json.loads(line))
        os.write(1, f"{child}\n".encode())
        os.write(1, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())


def run(plan: dict[str, Any]) -> NoReturn:
    """Run the collector as a process that was started for it: own keys, no stdin or stdout, stderr to a file."""
    from collector import commands
    from collector.cli.main import cli
    from collector.lake.recorder import RecorderLimits

    for descriptor, path, mode in ((0, os.devnull, os.O_RDONLY), (1, os.devnull, os.O_WRONLY)):
        os.dup2(os.open(path, mode), descriptor)
    os.dup2(os.open(plan["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.environ.update(plan["environ"])
    commands.RecorderLimits = partial(RecorderLimits, **plan["limits"])  # type: ignore[attr-defined,assignment]
    steps = Steps(plan)
    watch_files(steps)
    watch_objects(steps)
    cli(plan["arguments"], prog_name="collector")
    raise AssertionError("the command line ends by exiting")


if __name__ == "__main__":
    main()
