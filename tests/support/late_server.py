"""A server that breaks the rule of one reply for each request, in the way that a test chooses.

Its counts say which series and hour they are of, so that an answer that reaches another request is noticed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import orjson

from collector.api.client import ApiClient
from collector.api.transport import AiohttpTransport
from collector.clock import SystemClock
from collector.config.settings import Retry
from collector.fetch.fetcher import FetchResources, WorkspaceFetcher
from collector.fetch.stop import StopRequest
from collector.model import Answered, Outcome, Window
from tests.support.virtual import FreeThrottle, make_windows, make_workspace

Connection = asyncio.StreamWriter
Behaviour = Callable[["LateServer", Connection, bytes], Awaitable[bool]]
"""Sends what it likes for a request, whose right reply is given; returns whether the connection stays open."""


def message(status: int, body: bytes = b'{"message":"not now"}') -> bytes:
    """A complete reply."""
    return b"HTTP/1.1 %d Because\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def sessions_of(app: str, hour: int) -> int:
    """The count of an hour, by which its series can be told."""
    return int(app.removeprefix("app-")) * 1_000_000 + hour


@dataclass
class LateServer:
    """`idle`: what is sent on a connection that has been idle for `idle_seconds`, before it is closed."""

    behave: Behaviour
    idle: bytes = b""
    idle_seconds: float | None = None
    rng: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311
    requests: int = 0
    connections: int = 0
    timed_out: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve until the end of the block; gives the URL."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=500)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*self.tasks)

    def send_later(self, connection: Connection, reply: bytes, seconds: float) -> None:
        """Send a reply after a while, whatever has happened on the connection by then."""

        async def send() -> None:
            await asyncio.sleep(seconds)
            if not connection.is_closing():
                connection.write(reply)

        self.tasks.add(asyncio.create_task(send()))

    def _accept(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        self.tasks.add(asyncio.create_task(self._serve(reader, connection)))

    async def _serve(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            while True:
                self.requests += 1
                if not await self.behave(self, connection, message(200, _answer(head))):
                    break
                try:
                    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self.idle_seconds)
                except TimeoutError:
                    connection.write(self.idle)
                    self.timed_out.set()
                    break
        connection.close()
        with suppress(OSError):
            await connection.wait_closed()


def _answer(head: bytes) -> bytes:
    query = parse_qs(urlsplit(head.split(b" ")[1].decode()).query)
    stop = int(datetime.fromisoformat(query["ending_at"][0]).timestamp()) // 3600 + 1
    hours = range(stop - int(query["length"][0]), stop)
    counts = {datetime.fromtimestamp(hour * 3600, UTC): sessions_of(query["app_id"][0], hour) for hour in hours}
    points = [{"time": at.isoformat(), "sessions": sessions} for at, sessions in counts.items()]
    return orjson.dumps({"message": "success", "data": points})


async def fetch_from(server: LateServer, count: int = 200, concurrency: int = 16) -> list[Outcome]:
    """Fetch windows of twenty series, several of each span, over real sockets; gives their outcomes."""
    outcomes: list[Outcome] = []

    async def record(outcome: Outcome) -> None:
        outcomes.append(outcome)

    async with server.served() as url, AiohttpTransport() as transport:
        retry = Retry(attempts=6, base_seconds=0.002, max_seconds=0.02)
        workspace = make_workspace(retry=retry, concurrency=concurrency, timeout_seconds=5.0)
        workspace = replace(workspace, endpoint=url)
        clock = SystemClock()
        resources = FetchResources(FreeThrottle(), asyncio.Semaphore(100), clock, random.Random(3), StopRequest())  # noqa: S311
        fetcher = WorkspaceFetcher(workspace, ApiClient(workspace, transport, clock), resources)
        await fetcher.collect(make_windows(count, series=20), record)
    return outcomes


def wrong_windows(outcomes: list[Outcome]) -> list[Window]:
    """The windows whose answer has a count of another series."""
    return [
        outcome.window
        for outcome in outcomes
        if isinstance(outcome, Answered)
        and list(outcome.values)
        != [sessions_of(outcome.window.series.key.app_id or "", hour) for hour in outcome.buckets]
    ]
