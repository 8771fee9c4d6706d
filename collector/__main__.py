"""`python -m collector`, and the console script `collector`."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run the command line. A signal ends it without a trace, while it starts too; a run takes signals over.

    Once it has come to its end a signal changes nothing: the interpreter, taken down, would lose the exit code to it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # Arrow's own allocator gives freed memory back at once, and each next column is paid for in page faults: a third of
    # a landing's time. The system's keeps it, and peaks no higher. Arrow asks for this when it is loaded.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        from collector.cli import cli

        cli(prog_name="collector")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """At once while a library is loaded: many take what is raised in them there for an optional part's absence."""
    while frame is not None:
        if frame.f_globals["__name__"] == "importlib._bootstrap":
            os._exit(128 + number)
        frame = frame.f_back
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
