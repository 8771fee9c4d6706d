"""HTTP for the stand-in: reads requests off the socket, sends replies, and breaks them where a reply says so.

All rules are in `endpoint.py`. The low-level server of aiohttp is used, without routes or middleware, for its speed.

Starts and stops the stand-in: inside an event loop, in a thread of its own, or until cancelled.

In: a simulation and an address. Out: the URL it is served at. Only loopback addresses are taken unless the caller
insists, since the stand-in echoes keys and lets anyone who reaches it move its clock.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

from collector.simulator.control import CONTROL_PREFIX, Control
from collector.simulator.endpoint import Delivery, Endpoint, Reply, Request
from collector.simulator.options import hash_unit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from collector.simulator.simulation import Simulation


_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)


class RequestHandler:
    """Handles every request of one server."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._endpoint = Endpoint(simulation)
        self._control = Control(simulation)

    async def __call__(self, incoming: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if incoming.path.startswith(CONTROL_PREFIX):
            status, body = self._control.answer(incoming.method, incoming.path, incoming.query)
            return web.Response(status=status, body=body, content_type="application/json")
        tally = self._simulation.tally
        tally.arrive()
        try:
            return await self._answer(incoming)
        finally:
            tally.leave()

    async def _answer(self, incoming: web.BaseRequest) -> web.StreamResponse:
        authorization = incoming.headers.get("Authorization")
        reply = self._endpoint.answer(Request(incoming.method, incoming.path, incoming.query, authorization))
        delay = reply.delay_seconds + self._latency()
        if delay:
            await asyncio.sleep(delay)
        if reply.wire is Delivery.RESET:
            return _reset(incoming)
        if reply.wire is Delivery.CUT:
            return await _cut(incoming, reply)
        return web.Response(
            status=reply.status, body=reply.body, headers=reply.headers, content_type=reply.content_type
        )

    def _latency(self) -> float:
        """Seconds that this request takes besides."""
        least, most = self._simulation.options.latency_ms
        if most <= 0:
            return 0.0
        turn = hash_unit(self._simulation.options.seed, "latency", self._simulation.tally.requests)
        return (least + (most - least) * turn) / 1000


def _reset(incoming: web.BaseRequest) -> web.StreamResponse:
    """Drop the connection with a TCP reset, as a failing load balancer does."""
    if incoming.transport is not None:
        peer = incoming.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        incoming.transport.abort()
    return web.Response()


async def _cut(incoming: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """Send half of the body that Content-Length promises, and close."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type = reply.content_type
    response.content_length = len(reply.body)
    await response.prepare(incoming)
    await response.write(reply.body[: len(reply.body) // 2])
    if incoming.transport is not None:
        incoming.transport.close()
    return response


LOOPBACK = "127.0.0.1"
_PARTING_SECONDS = 0.2


@asynccontextmanager
async def serve(
    simulation: Simulation, host: str = LOOPBACK, port: int = 0, *, allow_remote: bool = False
) -> AsyncIterator[str]:
    """Serve while the block runs; yields the URL. Port 0 takes a free one.

    ValueError for a host other machines could reach, unless `allow_remote`; OSError where the port is taken.
    """
    _check_host(host, allow_remote=allow_remote)
    runner = web.ServerRunner(
        web.Server(RequestHandler(simulation), access_log=None), shutdown_timeout=_PARTING_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await runner.cleanup()


async def serve_forever(
    simulation: Simulation, host: str, port: int, announce: Callable[[str], None], *, allow_remote: bool = False
) -> None:
    """Serve until cancelled. `announce` gets the URL once the port is open."""
    async with serve(simulation, host, port, allow_remote=allow_remote) as url:
        announce(url)
        await asyncio.Event().wait()


@contextmanager
def running(simulation: Simulation, host: str = LOOPBACK, port: int = 0) -> Iterator[str]:
    """Serve from a thread of its own while the block runs; yields the URL. For tests and other synchronous code."""
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
    except Exception as error:  # whatever it is, the caller waits for it
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
        raise ValueError(f"{host} can be reached from other machines: use 127.0.0.1, or allow it explicitly")
