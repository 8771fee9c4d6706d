"""A wire between the collector and a server of objects, on which answers get lost. It changes nothing else."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.stores.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASS, LOSE, REFUSE = "pass", "lose", "refuse"
"""What becomes of a put: as it is; done, and its answer lost; not done, and answered 409, as S3 may in a race."""


class Wire(ThreadingHTTPServer):
    """`fate` is asked about each put, by its number, from 1 on; `meanwhile` is called while an answer gets lost."""

    daemon_threads = True

    def __init__(self, url: str, fate: Callable[[int], str]) -> None:
        super().__init__((HOST, 0), _Request)
        self.server_host, self.fate = urlsplit(url).netloc, fate
        self.puts = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self._count = threading.Lock()

    @property
    def url(self) -> str:
        """Where to send."""
        return f"http://{HOST}:{self.server_address[1]}"

    def next_fate(self) -> str:
        """Of one more put."""
        with self._count:
            self.puts += 1
            return self.fate(self.puts)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer goes out at once
    server: Wire

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fate = self.server.next_fate() if self.command == "PUT" else PASS
        if fate == REFUSE:
            self._answer(409, {}, b"<Error><Code>ConditionalRequestConflict</Code></Error>")
            return
        status, headers, content = self._ask(body)
        if fate == LOSE:
            self.server.meanwhile()
            self.close_connection = True
            self.connection.close()
            return
        self._answer(status, headers, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _relay  # noqa: N815  # as http.server calls them

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(self.server.server_host)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        answer = upstream.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        upstream.close()
        return found

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        told = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", told or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as http.server calls it
        """Say nothing."""


@contextmanager
def wire(url: str, fate: Callable[[int], str]) -> Iterator[Wire]:
    """Lay it until the block is left."""
    with Wire(url, fate) as laid:
        threading.Thread(target=laid.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield laid
        finally:
            laid.shutdown()
