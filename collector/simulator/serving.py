"""Starts and stops the stand-in: inside an event loop, in a thread of its own, or until cancelled.

In: a simulation and an address. Out: the URL it is served at. Only loopback addresses are taken unless the caller
insists, since the stand-in echoes keys and lets anyone who reaches it move its clock.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from collector.simulator.server import Exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from collector.simulator.simulation import Simulation

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
    runner = web.ServerRunner(web.Server(Exchange(simulation), access_log=None), shutdown_timeout=_PARTING_SECONDS)
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
