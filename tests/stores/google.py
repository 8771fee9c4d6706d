"""A stand-in for Google Cloud Storage, written from its documentation: the XML API with conditions on generations.

It tests the collector's requests, and nothing about Google's servers. No server that a package offers accepts the
requests of obstore: fake-gcs-server rejects its puts.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.stores.place import Place
from tests.stores.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET, TOKEN = "lakes", "planted-token"


@dataclass(frozen=True)
class Object:
    """One version of an object."""

    content: bytes
    generation: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a reply about it."""
        return {
            "ETag": f'"{hashlib.md5(self.content).hexdigest()}"',  # noqa: S324  # as Google's are
            "x-goog-generation": str(self.generation),
            "Last-Modified": "Mon, 23 Nov 2026 06:00:00 GMT",
        }


class Google(ThreadingHTTPServer):
    """A server with one bucket, in memory."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Request)
        self.objects: dict[str, Object] = {}
        self.generations = 0
        self.mutex = threading.Lock()


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # replies are sent at once
    server: Google

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        bucket, _, name = unquote(url.path).lstrip("/").partition("/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(403)
        elif bucket != BUCKET:
            self._answer(404, content=b"<Error><Code>NoSuchBucket</Code></Error>")
        elif not name:
            self._answer(200, content=self._listing(parse_qs(url.query).get("prefix", [""])[0]))
        else:
            with self.server.mutex:
                self._object(name, body)

    do_GET = do_PUT = do_HEAD = do_DELETE = _serve  # noqa: N815  # as http.server calls them

    def _object(self, name: str, body: bytes) -> None:
        present = self.server.objects.get(name)
        if self.command == "PUT":
            wanted = self.headers.get("x-goog-if-generation-match")
            if wanted is not None and int(wanted) != (present.generation if present else 0):
                self._answer(412)
                return
            self.server.generations += 1
            present = self.server.objects[name] = Object(body, self.server.generations)
            self._answer(200, present.headers)
        elif present is None:
            self._answer(404)
        elif self.command == "DELETE":
            del self.server.objects[name]
            self._answer(204)
        elif self.headers.get("If-Match") not in (None, present.headers["ETag"]):
            self._answer(412)
        elif "Range" in self.headers:
            self._answer_range(present, self.headers["Range"])
        else:
            self._answer(200, present.headers, present.content)

    def _answer_range(self, present: Object, wanted: str) -> None:
        """`bytes=5-9`, or `bytes=-5` for the last five."""
        size = len(present.content)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = (int(first), min(int(last) + 1, size)) if first else (max(0, size - int(last)), size)
        if start >= size:
            self._answer(416)
        else:
            headers = {**present.headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
            self._answer(206, headers, present.content[start:stop])

    def _listing(self, prefix: str) -> bytes:
        with self.server.mutex:
            found = sorted((name, each) for name, each in self.server.objects.items() if name.startswith(prefix))
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>2026-11-23T06:00:00.000Z</LastModified>"
            f"<ETag>{each.headers['ETag']}</ETag><Size>{len(each.content)}</Size></Contents>"
            for name, each in found
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>".encode()

    def _answer(self, status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> None:
        self.send_response_only(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as http.server calls it
        """Print nothing."""


@contextmanager
def google() -> Iterator[Place]:
    """Serve an empty bucket until the block ends."""
    with Google() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            storage = {"endpoint": f"http://{HOST}:{server.server_address[1]}"}
            yield Place("google", f"gs://{BUCKET}", storage, {"GOOGLE_BEARER_TOKEN": TOKEN})
        finally:
            server.shutdown()
