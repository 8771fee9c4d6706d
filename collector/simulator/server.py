"""HTTP for the stand-in: reads requests off the socket, sends replies, and breaks them where a reply says so.

All rules are in `endpoint.py`. The low-level server of aiohttp is used, without routes or middleware, for its speed.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final

from aiohttp import web

from collector.simulator.chance import chance
from collector.simulator.control import CONTROL_PREFIX, Control
from collector.simulator.endpoint import Endpoint, Reply, Request, Wire

if TYPE_CHECKING:
    from collector.simulator.simulation import Simulation

_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)


class Exchange:
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
        if reply.wire is Wire.RESET:
            return _reset(incoming)
        if reply.wire is Wire.CUT:
            return await _cut(incoming, reply)
        return web.Response(
            status=reply.status, body=reply.body, headers=reply.headers, content_type=reply.content_type
        )

    def _latency(self) -> float:
        """Seconds that this request takes besides."""
        least, most = self._simulation.options.latency_ms
        if most <= 0:
            return 0.0
        turn = chance(self._simulation.options.seed, "latency", self._simulation.tally.requests)
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
