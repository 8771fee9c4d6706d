"""`python -m collector`, and the console script `collector`."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType


def main() -> NoReturn:
    """Run the command line. A signal ends it without a trace, while it starts too; a run takes signals over.

    Once it has come to its end a signal changes nothing: the exit code would be lost to it.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started it; a file of the lake's must not get its number
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # as long as it runs
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # Arrow's own allocator gives freed memory back at once, and each next column is paid for in page faults: a third of
    # a landing's time. The system's keeps it, and peaks no higher. Arrow asks for this when it is loaded.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    code = 0
    try:
        from collector.cli.main import cli

        cli(prog_name="collector")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # a bug: its trace, and then the same end
        code = 1
        sys.excepthook(*sys.exc_info())
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process without taking the interpreter down first, which has cost runs their exit code.

    A thread of Arrow's or DuckDB's that asks a half-dismantled interpreter for anything aborts the whole process.
    Nothing here needs it dismantled, and it takes 50 ms.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  # how multiprocessing ends its processes, too
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream and not stream.closed:
                stream.flush()
        except OSError:  # nobody reads it, or it does not fit: what the interpreter says of that
            code = code or 120
    os._exit(code)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """At once while a library is loaded: many take what is raised in them there for an optional part's absence."""
    while frame is not None:
        if frame.f_globals["__name__"] == "importlib._bootstrap":
            os._exit(128 + number)
        frame = frame.f_back
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
