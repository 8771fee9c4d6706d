"""The process's own streams: what a full disk does to them, and when stderr is JSON.

Results go to stdout. What of them cannot be written is an error that says so (exit code 5). Everything else goes to
stderr, where a write that fails is dropped: what cannot be logged changes nothing about a run.

A reader that leaves early, as `| head` does, is no error of either. Imported at the very start, so it imports little.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from contextlib import closing, contextmanager, nullcontext, redirect_stderr, suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from _typeshed import ReadableBuffer

    from collector.show.logs import JsonLines


class OutputLost(click.ClickException):
    """Results cannot be written. What was written before, and what a run landed, is there."""

    exit_code = 5

    def __init__(self, reason: str) -> None:
        super().__init__(f"cannot write the output to stdout: {reason}")

    def show(self, file: object = None) -> None:  # noqa: ARG002  # click's signature
        """Print the error as one line on stderr."""
        report(f"collector: {self.message}")


def report(text: str, **members: object) -> None:
    """An error for people on stderr; where that is JSON, as one object with these members."""
    lines = _json_stderr()
    if lines is not None:
        lines.record(logging.ERROR, text, **members)
    else:
        click.echo(text, err=True)


def protect_streams() -> None:
    """Replace the process's stdout and stderr by those below, unless the caller has closed or replaced them."""
    out, err = sys.__stdout__, sys.__stderr__
    # Python's own streams stay referenced, as sys.__stdout__ and sys.__stderr__: their end would close the descriptors.
    if out is not None and sys.stdout is out:
        results = io.BufferedWriter(_Results(out.fileno(), "wb", closefd=False))
        sys.stdout = io.TextIOWrapper(results, out.encoding, out.errors, line_buffering=out.isatty())
    if err is not None and sys.stderr is err:
        sys.stderr = _Messages(err.buffer, err.encoding, err.errors, line_buffering=True)


def discard_output() -> None:
    """Write nothing more to stdout: what is still in its buffer could only fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def one_message(level: int, **members: object) -> AbstractContextManager[None]:
    """Where stderr is JSON, all that the block writes to it becomes one object with these members."""
    lines = _json_stderr()
    return nullcontext() if lines is None else lines.as_one(level, **members)


@contextmanager
def json_lines() -> Iterator[JsonLines]:
    """Within the block, all that is written to stderr becomes JSON, log lines included."""
    from collector.show.logs import JsonLines, configure

    lines = JsonLines(sys.stderr)
    configure(logging.INFO, "json", (), lines)
    with redirect_stderr(lines), closing(lines):
        yield lines


def _json_stderr() -> JsonLines | None:
    if "collector.show.logs" not in sys.modules:  # which takes a tenth of the time that `--help` takes
        return None
    from collector.show.logs import JsonLines

    return sys.stderr if isinstance(sys.stderr, JsonLines) else None


@contextmanager
def ignore_broken_pipe() -> Iterator[None]:
    """Leave the block quietly when the reader of stdout has gone, as with `| head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()


def print_outcome(write: Callable[[], None]) -> None:
    """Print what became of the lake, which the exit code says as well, so that stdout being lost does not change it."""
    try:
        write()
        sys.stdout.flush()
    except (OutputLost, BrokenPipeError) as error:
        if isinstance(error, OutputLost):
            error.show()
        else:
            discard_output()
        write()  # once more, for what goes to stderr: stdout goes nowhere now


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for a log in JSON, wherever it says so, and whatever else is wrong with it."""
    found = False
    for option, value in zip(arguments, [*arguments[1:], ""], strict=False):
        name, _, joined = option.partition("=")
        if name == "--log-format":
            found = (joined or value) == "json"
    return found


class _Results(io.FileIO):
    """stdout. Raises OutputLost where a write fails, and BrokenPipeError where there is no reader."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            discard_output()
            raise OutputLost(os.strerror(error.errno or errno.EIO)) from error


class _Messages(io.TextIOWrapper):
    """stderr. A write that fails is dropped."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()
