"""Serves a simulation over HTTP, inside an event loop or in a thread of its own.

In: a simulation and an address. Out: its URL. The rules of the API are in `endpoint.py`; this module reads requests,
sends replies, and breaks connections where a reply says so. It uses aiohttp's low-level server, without routes or
middleware, for its speed. Only loopback addresses are accepted unless the caller allows others, because the stand-in
echoes keys and anyone who can reach it can move its clock.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from aiohttp import web

from collector.simulator.control import CONTROL_PREFIX, Control
from collector.simulator.endpoint import Delivery, Endpoint, Reply, Request
from collector.simulator.options import hash_unit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from collector.simulator.simulation import Simulation


LOOPBACK: Final = "127.0.0.1"
_SHUTDOWN_SECONDS = 0.2
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
"""With this SO_LINGER value, closing a socket sends a TCP reset."""


@asynccontextmanager
async def serve(
    simulation: Simulation, host: str = LOOPBACK, port: int = 0, *, allow_remote: bool = False
) -> AsyncIterator[str]:
    """Serve while the block runs; yields the URL. Port 0 picks a free port.

    ValueError if other machines can reach the host and `allow_remote` is not set; OSError if the port is in use.
    """
    _check_host(host, allow_remote=allow_remote)
    runner = web.ServerRunner(
        web.Server(RequestHandler(simulation), access_log=None), shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        actual_port = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{actual_port}"
    finally:
        await runner.cleanup()


@contextmanager
def running(simulation: Simulation, host: str = LOOPBACK, port: int = 0) -> Iterator[str]:
    """Serve from a separate thread while the block runs; yields the URL. For synchronous code, such as tests."""
    opened: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=_serve_in_thread, args=(simulation, host, port, opened), name="stand-in")
    thread.start()
    try:
        url, loop, closing = opened.result()
        try:
            yield url
        finally:
            loop.call_soon_threadsafe(closing.set)
    finally:
        thread.join()


def _serve_in_thread(
    simulation: Simulation, host: str, port: int, opened: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]
) -> None:
    async def serve_until_closed() -> None:
        closing = asyncio.Event()
        async with serve(simulation, host, port) as url:
            opened.set_result((url, asyncio.get_running_loop(), closing))
            await closing.wait()

    try:
        asyncio.run(serve_until_closed())
    except Exception as error:  # the caller waits for a result, so any error must reach it
        if opened.done():
            raise
        opened.set_exception(error)


def _check_host(host: str, *, allow_remote: bool) -> None:
    if allow_remote or host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"other machines can reach {host}: use 127.0.0.1, or allow it explicitly")


class RequestHandler:
    """Handles all requests of one server."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._endpoint = Endpoint(simulation)
        self._control = Control(simulation)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.path.startswith(CONTROL_PREFIX):
            status, body = self._control.answer(request.method, request.path, request.query)
            return web.Response(status=status, body=body, content_type="application/json")
        log = self._simulation.request_log
        log.start()
        try:
            return await self._answer(request)
        finally:
            log.finish()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        authorization = request.headers.get("Authorization")
        reply = self._endpoint.answer(Request(request.method, request.path, request.query, authorization))
        delay = reply.delay_seconds + self._latency()
        if delay:
            await asyncio.sleep(delay)
        if reply.delivery is Delivery.RESET:
            return _reset(request)
        if reply.delivery is Delivery.CUT:
            return await _cut(request, reply)
        headers = self._dated(reply.headers)
        return web.Response(status=reply.status, body=reply.body, headers=headers, content_type=reply.content_type)

    def _dated(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers with a `Date` by the data clock, and with a reset that is as far from it as it really is."""
        now = int(self._simulation.now.timestamp())
        dated = {**headers, "Date": formatdate(now, usegmt=True)}
        if self._simulation.pinned and dated.get("x-ratelimit-reset"):
            ahead = now - int(self._simulation.clock.now().timestamp())
            dated["x-ratelimit-reset"] = str(int(dated["x-ratelimit-reset"]) + ahead)
        return dated

    def _latency(self) -> float:
        """Seconds of configured latency for this request."""
        least, most = self._simulation.options.latency_ms
        if most <= 0:
            return 0.0
        share = hash_unit(self._simulation.options.seed, "latency", self._simulation.request_log.requests)
        return (least + (most - least) * share) / 1000


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """Close the connection with a TCP reset, as a failing load balancer does."""
    if request.transport is not None:
        peer = request.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        request.transport.abort()
    return web.Response()


async def _cut(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """Send half of the bytes that Content-Length announces, then close the connection."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type = reply.content_type
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
