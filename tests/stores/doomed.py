"""The collector in a process that dies at an effect of its choosing on a bucket. A program, never imported.

`python doomed.py NUMBER WHEN ARGUMENT…`: it dies at the effect of that number, a put or a delete, `before` it is asked
for or `after` it has been done. The arguments are the collector's.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import obstore

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Put the end between the program and the library, and run it."""
    from collector.cli.main import cli

    number, when = int(sys.argv[1]), sys.argv[2]
    effects = count(1)

    def ending(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*arguments: Any, **options: Any) -> Any:
            last = next(effects) == number
            if last and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = act(*arguments, **options)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return acted

    obstore.put, obstore.delete = ending(obstore.put), ending(obstore.delete)
    cli(sys.argv[3:], prog_name="collector")


if __name__ == "__main__":
    main()
