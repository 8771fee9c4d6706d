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

CTRL_C, CTRL_D = b"\x03", b"\x04"
PATIENCE = 60.0
"""Seconds without a sign, after which a program is taken for stuck."""
AFTER_CTRL_C = 5.0
"""Seconds to wait for a prompt that may never show: at Ctrl-C, a terminal drops what is being shown."""


def on_a_terminal(command: Sequence[str], typed: Sequence[bytes]) -> tuple[int, str]:
    """Run a program and type, each time it asks; gives its exit code and all that it showed."""
    ours, theirs = pty.openpty()

    def take_it_over() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=take_it_over
    ) as program:
        os.close(theirs)
        try:
            shown = ""
            for before, line in zip([b"", *typed], typed, strict=False):
                shown += _until_asked(ours, AFTER_CTRL_C if before == CTRL_C else PATIENCE)
                os.write(ours, line)
            shown += _rest(ours)
        finally:
            if program.poll() is None and not select.select([ours], [], [], AFTER_CTRL_C)[0]:
                program.kill()
            os.close(ours)
    return program.returncode, shown


def _until_asked(terminal: int, patience: float) -> str:
    shown = b""
    while b"> " not in shown[-12:] and select.select([terminal], [], [], patience)[0]:
        shown += os.read(terminal, 4096)  # behind the prompt, a terminal may be told how to paste
    return shown.decode()


def _rest(terminal: int) -> str:
    shown = b""
    while select.select([terminal], [], [], PATIENCE)[0]:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not more:
            break
        shown += more
    return shown.decode()
