from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from collector.api.request import Request
from collector.api.transport import AiohttpTransport
from collector.model import Answered
from tests.support.late_server import Connection, LateServer, fetch_from, message, wrong_windows

HTML = b"<html>One moment, please</html>"


@pytest.mark.parametrize(
    "first",
    [message(503), message(202), message(408), message(500, HTML), message(200, HTML), message(200)],
    ids=["503", "202", "408", "500 html", "200 html", "200 not now"],
)
def test_a_late_reply_never_becomes_another_series(first: bytes) -> None:
    """Every tenth request is refused, its real 200 comes 30 ms later on the same connection: no count goes wrong.

    That holds for every status but a plain 200, and for a 200 whose body is not an answer.
    """

    async def behave(server: LateServer, connection: Connection, reply: bytes) -> bool:
        if server.requests % 10 == 0:
            connection.write(first)
            server.send_later(connection, reply, 0.03)
        else:
            await asyncio.sleep(0.001)
            connection.write(reply)
        return True

    outcomes = asyncio.run(fetch_from(LateServer(behave)))
    assert wrong_windows(outcomes) == []
    assert sum(isinstance(outcome, Answered) for outcome in outcomes) >= 0.9 * len(outcomes)


@pytest.mark.parametrize("extra", ["whole", "half", "line"])
def test_bytes_behind_a_reply_close_its_connection(extra: str) -> None:
    """A second reply in the same packet, or the beginning of one, is never read: the connection is not used again."""

    async def behave(server: LateServer, connection: Connection, reply: bytes) -> bool:
        behind = {"whole": reply, "half": reply[: len(reply) // 2], "line": reply[:12]}[extra]
        connection.write(reply + behind)
        return True

    server = LateServer(behave)
    outcomes = asyncio.run(fetch_from(server, 60))
    assert wrong_windows(outcomes) == []
    assert sum(isinstance(outcome, Answered) for outcome in outcomes) == 60
    assert server.connections == server.requests == 60


def test_a_408_on_idle_connections_costs_nothing() -> None:
    """A server that sends a 408 on idle connections, and closes them, is asked on a new connection each time."""

    async def behave(_: LateServer, connection: Connection, reply: bytes) -> bool:
        connection.write(reply)
        return True

    async def main() -> tuple[list[int], int]:
        server = LateServer(behave, idle=message(408), idle_seconds=0.005)
        async with server.served() as url, AiohttpTransport() as transport:
            statuses: list[int] = []
            while len(statuses) < 4:
                request = Request(URL(f"{url}/?app_id=app-1&length=1&ending_at=2026-11-01T00:59:59Z"), {})
                statuses.append((await transport.get(request)).status)
                await server.timed_out.wait()
                server.timed_out.clear()
        return statuses, server.connections

    assert asyncio.run(main()) == ([200] * 4, 4)


@pytest.mark.parametrize("unread", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"\r\n", b"H"])
def test_what_arrives_on_an_idle_connection_closes_it(unread: bytes) -> None:
    """Unrequested bytes close an idle connection, whether the event loop has read them or they are still unread."""

    async def main(*, read: bool) -> tuple[list[bytes], int]:
        sent = asyncio.Event()

        async def behave(server: LateServer, connection: Connection, _: bytes) -> bool:
            connection.write(message(200, b"reply %d" % server.requests))
            await connection.drain()
            await sent.wait()  # until the client has the first reply
            if server.requests == 1:
                connection.write(unread)
            return True

        server = LateServer(behave)
        async with server.served() as url, AiohttpTransport() as transport:
            request = Request(URL(f"{url}/?app_id=app-1&length=1&ending_at=2026-11-01T00:59:59Z"), {})
            bodies = [(await transport.get(request)).body]
            sent.set()
            # The server's task runs before the transport reads what it has written.
            for _ in range(20 if read else 2):
                await asyncio.sleep(0)
            bodies.append((await transport.get(request)).body)
        return bodies, server.connections

    for read in (True, False):
        assert asyncio.run(main(read=read)) == ([b"reply 1", b"reply 2"], 2)


def test_a_server_that_closes_without_saying_so_costs_one_attempt_a_connection() -> None:
    """Lost requests are repeated at once, and after the first of them no connection is kept: few attempts are lost."""

    async def behave(_: LateServer, connection: Connection, reply: bytes) -> bool:
        connection.write(reply)
        await asyncio.sleep(0.002)  # so the next request meets the end of the connection
        return False

    server = LateServer(behave)
    outcomes = asyncio.run(fetch_from(server, 200, concurrency=4))
    assert wrong_windows(outcomes) == []
    attempts = [outcome.attempts for outcome in outcomes if isinstance(outcome, Answered)]
    assert len(attempts) == 200
    assert 200 < sum(attempts) <= 200 + 4
    assert max(attempts) == 2


def test_plain_200s_keep_their_connections() -> None:
    """A sound server sees no more connections than requests at once."""

    async def behave(_: LateServer, connection: Connection, reply: bytes) -> bool:
        connection.write(reply)
        return True

    server = LateServer(behave)
    asyncio.run(fetch_from(server, 200, concurrency=4))
    assert (server.requests, server.connections) == (200, 4)
