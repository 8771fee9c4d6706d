"""Run a program on a terminal of its own and type into it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CTRL_C, CTRL_D = b"\x03", b"\x04"
TIMEOUT = 60.0
"""Seconds without output, after which a program is considered stuck."""
AFTER_CTRL_C = 5.0
"""Seconds to wait for a prompt that may not appear: at Ctrl-C, a terminal drops pending output."""


def on_a_terminal(command: Sequence[str], typed: Sequence[bytes], width: int = 80) -> tuple[int, str]:
    """Run a program and type a line at each prompt. Returns its exit code and all output."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))

    def make_controlling_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=make_controlling_terminal,
        # The size of the terminal that the tests run on must not replace this one's.
        env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")},
    ) as program:
        os.close(slave)
        try:
            output = ""
            for previous, line in zip([b"", *typed], typed, strict=False):
                output += _until_prompt(master, AFTER_CTRL_C if previous == CTRL_C else TIMEOUT)
                _until_waiting(program.pid)
                os.write(master, line)
            output += _rest(master)
        finally:
            if program.poll() is None and not select.select([master], [], [], AFTER_CTRL_C)[0]:
                program.kill()
            os.close(master)
    return program.returncode, output


def _until_prompt(terminal: int, timeout: float) -> str:
    output = b""
    while b"> " not in output[-12:] and select.select([terminal], [], [], timeout)[0]:
        output += os.read(terminal, 4096)  # escape codes may follow the prompt
    return output.decode()


def _until_waiting(pid: int) -> None:
    """Wait until the program sleeps. Ctrl-C between its prompt and its read would be noticed only at the next line."""
    deadline = time.monotonic() + AFTER_CTRL_C
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R" and time.monotonic() < deadline:
        time.sleep(0.001)


def _rest(terminal: int) -> str:
    output = b""
    while select.select([terminal], [], [], TIMEOUT)[0]:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # on Linux: the other end is closed
            break
        if not chunk:
            break
        output += chunk
    return output.decode()
