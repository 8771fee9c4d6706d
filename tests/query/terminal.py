"""A program on a terminal of its own, as a person types into it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 5.0
"""Seconds without a sign from the program."""


def on_a_terminal(command: Sequence[str], typed: Sequence[bytes]) -> tuple[int, str]:
    """Run a program and type, each time it asks; gives its exit code and all that it showed."""
    ours, theirs = pty.openpty()

    def take_it_over() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=take_it_over
    ) as program:
        os.close(theirs)
        shown = "".join(_until_asked(ours, line) for line in typed) + _rest(ours)
    os.close(ours)
    return program.returncode, shown


def _until_asked(terminal: int, answer: bytes) -> str:
    """Wait for the prompt, but not for ever: at Ctrl-C, a terminal drops what is being shown, a prompt too."""
    shown = b""
    while b"> " not in shown[-12:] and select.select([terminal], [], [], PATIENCE)[0]:
        shown += os.read(terminal, 4096)  # behind the prompt, a terminal may be told how to paste
    os.write(terminal, answer)
    return shown.decode()


def _rest(terminal: int) -> str:
    shown = b""
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other end is closed
            more = b""
        if not more:
            return shown.decode()
        shown += more
