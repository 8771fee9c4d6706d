"""A proxy in front of an object store, which loses replies or refuses puts. It changes nothing else."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.stores.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stores.place import Place

    Fate = Callable[[int, str], str]

PASS, LOSE, REFUSE = "pass", "lose", "refuse"
"""What the proxy does with a put: relay it; relay it and drop the reply; answer 409 as S3 may when two puts race."""


class LossyProxy(ThreadingHTTPServer):
    """`fate` is called with each put's number, from 1, and path. `before_loss` is called before a reply is dropped.

    `relayed_bytes`: of the contents of all replies. `gets`: the path of each GET.
    """

    daemon_threads = True

    def __init__(self, url: str, fate: Fate) -> None:
        super().__init__((HOST, 0), _Request)
        self.upstream = urlsplit(url).netloc
        self.puts = self.relayed_bytes = 0
        self.gets: list[str] = []
        self.before_loss: Callable[[], object] = lambda: None
        self._fate, self._mutex = fate, threading.Lock()

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"http://{HOST}:{self.server_address[1]}"

    def next_fate(self, path: str) -> str:
        """The fate of the next put."""
        with self._mutex:
            self.puts += 1
            number = self.puts
        return self._fate(number, path)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # replies are sent at once
    server: LossyProxy

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fate = self.server.next_fate(self.path) if self.command == "PUT" else PASS
        if self.command == "GET":
            self.server.gets.append(self.path)
        if fate == REFUSE:
            self._reply(409, {}, b"<Error><Code>ConditionalRequestConflict</Code></Error>")
            return
        status, headers, content = self._forward(body)
        if fate == LOSE:
            self.server.before_loss()
            self.close_connection = True
            self.connection.close()
            return
        self._reply(status, headers, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _relay  # noqa: N815  # as http.server calls them

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(self.server.upstream)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        reply = upstream.getresponse()
        found = reply.status, dict(reply.getheaders()), reply.read()
        upstream.close()
        return found

    def _reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        lengths = [value for name, value in headers.items() if name.lower() == "content-length"]
        length = lengths[0] if lengths and self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.server.relayed_bytes += len(content)
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as http.server calls it
        """Print nothing."""


@contextmanager
def through_proxy(place: Place, fate: Fate) -> Iterator[tuple[Place, LossyProxy]]:
    """The same lake, reached through a proxy that serves until the block ends."""
    with LossyProxy(place.storage["endpoint"], fate) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        path = place.storage["endpoint"].split("/", 3)[3:]
        try:
            yield replace(place, storage={**place.storage, "endpoint": "/".join([proxy.url, *path])}), proxy
        finally:
            proxy.shutdown()
