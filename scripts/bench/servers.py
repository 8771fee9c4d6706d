"""The servers: nginx with one constant body, or the stand-in. On loopback, on their own core, while a block runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.machine import ROOT, SERVER_CORE
from scripts.bench.workload import AS_OF, ENVIRONMENT, body, one_window_each

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; open_file_cache max=10;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {folder}; default_type application/json; try_files /body.json =404; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    name: str


@contextmanager
def constant(requests: int) -> Iterator[Server]:
    """A server that gives every request the same body: nginx, or the stand-in if nginx is not installed."""
    if shutil.which("nginx") is None:
        print("nginx is not installed: the stand-in serves, and is slower than what is measured", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            file = one_window_each(Path(folder), "http://127.0.0.1:9", requests)
            with stand_in(file, ["--now", AS_OF.isoformat()]) as url:
                yield Server(url, "the stand-in")
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # nginx reads it as another user
        Path(folder, "body.json").write_bytes(body())
        port = free_port()
        Path(folder, "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
        with _serving(["nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/errors"], port):
            yield Server(f"http://127.0.0.1:{port}", "nginx")


@contextmanager
def stand_in(config: Path, options: Sequence[str]) -> Iterator[str]:
    """Serve the stand-in for a config's workspaces; yields its URL."""
    port = free_port()
    command = [sys.executable, "-m", "collector", "--config", str(config), "simulate", "--port", str(port), *options]
    with _serving(command, port):
        yield f"http://127.0.0.1:{port}"


def stats(url: str) -> dict[str, Any]:
    """The request counts of the stand-in."""
    with urllib.request.urlopen(f"{url}/_simulator/stats") as answer:  # noqa: S310  # this machine's own stand-in
        report: dict[str, Any] = json.load(answer)
    return report


def move_clock(url: str, instant: str) -> None:
    """Pin the stand-in's clock to an instant, which ends with Z."""
    request = urllib.request.Request(f"{url}/_simulator/now?at={instant}", method="PUT")  # noqa: S310  # as above
    urllib.request.urlopen(request).close()  # noqa: S310


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _serving(command: Sequence[str], port: int) -> Iterator[None]:
    environment, nowhere = {**os.environ, **ENVIRONMENT}, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=nowhere, stderr=nowhere, cwd=ROOT, env=environment) as it:
        os.sched_setaffinity(it.pid, {SERVER_CORE})
        try:
            _wait_for(port, it)
            yield
        finally:
            it.terminate()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        if server.poll() is not None:
            sys.exit(f"{server.args!r} did not start")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_simulator/stats").close()  # as above
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"{server.args!r} did not answer within twenty seconds")
