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
    """Run the command line. A signal ends it without a traceback, during start-up too; a run handles signals itself.

    After the end a signal changes nothing, so that it cannot replace the exit code.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the caller closed it; no file of the lake may get its descriptor number
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # as long as it runs
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # Arrow's own allocator returns freed memory at once, and each next column then costs page faults: a third of a
    # landing's time. The system's allocator keeps it, with no higher peak. Arrow reads this variable when it is loaded.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    code = 0
    try:
        from collector.cli.main import cli
        from collector.cli.streams import protect_streams

        protect_streams()
        cli(prog_name="collector")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as bug:  # its traceback, and then the same end
        code = 1
        _report(bug)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process without finalizing the interpreter, which has cost runs their exit code.

    A thread of Arrow or DuckDB that calls into an interpreter that is being finalized aborts the process. Nothing here
    needs the finalization, and it takes 50 ms.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  # as multiprocessing ends its processes
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream and not stream.closed:
                stream.flush()
        except Exception:  # no reader, or no space, of what was printed after the command's end
            code = code or 5
    os._exit(code)


def _report(bug: Exception) -> None:
    """Write the traceback without the keys, which it may hold: by the log, as soon as there is one."""
    import logging
    import traceback

    from collector.redaction import redact_crash

    log = logging.getLogger("collector")
    if log.handlers:
        log.critical("internal error", exc_info=bug)
    else:
        sys.stderr.write(redact_crash("".join(traceback.format_exception(bug))))


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Exit; at once during an import, where many libraries take an exception for a missing optional dependency."""
    while frame is not None:
        if frame.f_globals["__name__"] == "importlib._bootstrap":
            os._exit(128 + number)
        frame = frame.f_back
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
