"""Free ports on this machine, and processes that serve there for as long as a block lasts."""

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
PATIENCE = 60.0
"""Seconds after which a server that does not answer is given up."""


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on, below those that the system gives to connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(10_000, 32_000)  # noqa: S311  # no secret
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
    """Run a server until the block is left. It serves once the URL is answered, whatever the answer."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(process, url, folder / "log")
        yield
    finally:
        process.kill()  # what it holds is thrown away
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _answered(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{url} is not served: {log.read_text()[-2000:]}")
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
