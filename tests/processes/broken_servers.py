"""Servers that give no valid answer: one that is silent, one that does not speak HTTP, one that does not exist."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NONSENSE = b"\x16\x03\x01\x02\x00\xff\xfe<<< 220 mail.example ESMTP\r\n\r\n"


@contextmanager
def broken_server(reply: bytes | None) -> Iterator[tuple[str, list[int]]]:
    """Accept connections and send `reply` to each, or nothing. Yields the URL and a list that grows by connection."""
    connections: list[int] = []
    open_ones: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                connections.append(1)
                open_ones.append(peer)
                if reply is not None:
                    peer.sendall(reply)
                    peer.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", connections
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for peer in open_ones:
                peer.close()


def unused_address() -> str:
    """An address on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"
