"""Servers that give no answer: one that says nothing, one that talks nonsense, one that is not there."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NONSENSE = b"\x16\x03\x01\x02\x00\xff\xfe<<< 220 mail.example ESMTP\r\n\r\n"


@contextmanager
def broken_server(said: bytes | None) -> Iterator[tuple[str, list[int]]]:
    """Takes connections and says that to each, or nothing at all; yields its URL, and what counts the connections."""
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
                if said is not None:
                    peer.sendall(said)
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
    """An address that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"
