"""Connections to the API: bounded in number, and used again only where nothing can be mistaken for the next reply.

In HTTP/1.1 a reply does not say which request it answers, and an answer of the API does not say which series it is of.
So a reply that comes late, on a connection that is in use again, would become another series' numbers. Therefore a
connection is used again only after a plain 200 that was read to its end, and only if no byte has arrived since.

Here, and nowhere else, parts of aiohttp are replaced that are not public: tests fail where a new version moves them.
"""

from __future__ import annotations

import logging
import select
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    import asyncio
    import ssl

log = logging.getLogger(__name__)

_OK = 200


class KeptConnectionLostError(aiohttp.ServerDisconnectedError):
    """The server closed a kept connection, and no byte of a reply came: most likely it had closed it while idle."""


class Protocol(ResponseHandler):
    """One connection. `idle`: no request has it. `kept`: it has served one before. `heard`: a reply has begun."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.idle = self.kept = self.heard = False
        self._discarded = False

    def take(self) -> bool:
        """Begin with another request. False where the connection must not be used again."""
        self.idle = False
        if not self._is_quiet():
            return False
        self.kept, self.heard = True, False
        return True

    def discard(self) -> None:
        """Close the connection: the reply was not an answer, and the real one may still come.

        Where another request has it already, that one fails, and is sent again on another connection.
        """
        self._discarded = True
        self.abort()

    def _is_quiet(self) -> bool:
        """Whether nothing has come since the last reply was read to its end."""
        transport, parser = self.transport, self._parser
        if transport is None or parser is None or self.should_close:
            return False
        try:
            # Bytes behind the end of a reply, in the same packet, may be the beginning of another one: the parser then
            # is within a message, and says so when it is told that no more will come. The next request gets a new one.
            if parser.feed_eof() is not None:
                return False
        except Exception:  # whatever it says about an incomplete message
            return False
        # What has arrived since the event loop last looked is still in the socket; so is the end of the connection.
        arrived = select.poll()
        arrived.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not arrived.poll(0)

    def data_received(self, data: bytes) -> None:
        """Bytes have come. No request has asked for those of an idle connection: it is closed."""
        if data:  # without any, aiohttp resumes what it has paused
            if self.idle:
                self.abort()
                return
            self.heard = True
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The head of a reply has come. After anything but a plain 200, an interim reply included, more may follow."""
        if data[0].code != _OK:
            self.force_close()
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """The connection is lost. Where the server closed it while it was idle, the error says so."""
        lost = isinstance(exc, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        if lost and self.kept and not self.heard and not self._discarded:
            exc = KeptConnectionLostError()
        super().set_exception(exc, *cause)


class Connector(aiohttp.TCPConnector):
    """Keeps no more than `most` connections open, idle ones included.

    aiohttp's own limit counts only those in use. Idle ones, which it keeps for 15 seconds, would come on top of it.
    """

    def __init__(self, most: int, tls: ssl.SSLContext | bool = True) -> None:
        super().__init__(limit=0, ttl_dns_cache=60, ssl=tls)
        self._factory: Any = partial(Protocol, self._loop)
        self._most = most
        self._not_kept: set[tuple[str, int | None]] = set()

    def stop_keeping(self, host: str, port: int | None) -> None:
        """Use no connection to the host again: it closes them without saying so, and each such request is lost."""
        if (host, port) in self._not_kept:
            return
        self._not_kept.add((host, port))
        for key in [each for each in self._conns if (each.host, each.port) == (host, port)]:
            for protocol, _ in self._conns.pop(key):
                protocol.close()
        log.info("%s closes connections without saying so: each request to it has a connection of its own", host)

    async def _get(self, key: Any, traces: Any) -> Any:
        """The next idle connection that may be used again, if any; the others are closed."""
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol.take():  # type: ignore[union-attr]  # of ours, by `_factory`
                return connection
            connection.close()
        return None

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """A request has ended: keep its connection, or close it."""
        protocol.idle = True
        super()._release(key, protocol, should_close=should_close or (key.host, key.port) in self._not_kept)

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109  # aiohttp's
        """Make a connection; before that, close the oldest idle one where there would be too many."""
        # The connection that is about to be made counts as acquired already.
        while self._conns and len(self._acquired) + sum(map(len, self._conns.values())) > self._most:
            key = min(self._conns, key=lambda each: self._conns[each][0][1])
            self._conns[key].popleft()[0].close()
            if not self._conns[key]:
                del self._conns[key]
        return await super()._create_connection(req, traces, timeout)
