"""Free ports on this machine, and server processes that run until a block ends."""

from __future__ import annotations

import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
START_TIMEOUT = 60.0
"""Seconds after which a server that does not answer has failed to start."""


def free_ports(count: int) -> list[int]:
    """Unused ports, below the range that the system assigns to outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(10_000, 32_000)  # noqa: S311  # not a secret
        if port not in found and _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


@contextmanager
def serving(command: Sequence[str], folder: Path, url: str, environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a server until the block ends. It has started once it answers at the URL, with any status."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(process, url, folder / "log")
        yield
    finally:
        process.kill()  # its data is not needed any more
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not _answered(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"no server at {url}: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def _answered(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()  # noqa: S310  # this machine's own server
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True
