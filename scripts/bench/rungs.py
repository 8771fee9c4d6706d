"""One rung of the budget's ladder, in a process of its own: `python -m scripts.bench.rungs RUNG CONFIG` prints JSON.

`transport` sends the requests of the config and drops the replies; `api` decodes them too; `lane` adds throttle, pool,
retry and bookkeeping; `run` is the whole way, with what journal and landing took on their threads. Figures are
processor milliseconds a request, all threads counted, start-up not.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from collector.api.client import ApiClient
from collector.api.request import RequestBuilder
from collector.api.transport import AiohttpTransport
from collector.clock import SystemClock
from collector.commands import on_a_thread
from collector.config.load import load
from collector.environment import Environment, RunOptions
from collector.fetch.fetcher import WorkspaceFetcher
from collector.fetch.limiter import EvenThrottle
from collector.fetch.stop import StopRequest
from collector.lake.process import ProcessIdentity
from collector.lake.recorder import RecorderLimits
from collector.lake.stores import store_factory
from collector.plan import plan
from collector.run import run
from scripts.bench.workload import AS_OF

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from collector.api.transport import Transport
    from collector.config.settings import Config, Workspace
    from collector.lake.recorder import Offload
    from collector.model import Outcome, Window

T = TypeVar("T")


async def transport(workspace: Workspace, windows: Sequence[Window]) -> None:
    """HTTP alone."""
    requests = RequestBuilder(workspace)
    async with AiohttpTransport() as network:
        await _abreast(workspace, windows, lambda window: network.get(requests.build(window)))


async def api(workspace: Workspace, windows: Sequence[Window]) -> None:
    """HTTP, headers, decoding."""
    async with AiohttpTransport() as network:
        await _abreast(workspace, windows, ApiClient(workspace, network, SystemClock()).fetch)


async def lane(workspace: Workspace, windows: Sequence[Window]) -> None:
    """What the lane adds."""

    async def drop(_: Outcome) -> None:
        """Keep nothing."""

    clock = SystemClock()
    async with AiohttpTransport() as network:
        pacer = EvenThrottle(workspace.rate_limit.per_second)
        asker = ApiClient(workspace, network, clock)
        await WorkspaceFetcher(workspace, asker, pacer, clock, random.Random(), StopRequest()).collect(windows, drop)  # noqa: S311  # jitter


async def _abreast(workspace: Workspace, windows: Sequence[Window], ask: Callable[[Window], Awaitable[object]]) -> None:
    async def work(queue: Iterator[Window]) -> None:
        for window in queue:
            await ask(window)

    queue = iter(windows)
    async with asyncio.TaskGroup() as group:
        for _ in range(workspace.concurrency):
            group.create_task(work(queue))


async def whole(config: Config, spent: dict[str, float]) -> None:
    """All that a night does; `spent` gets what was done off the event loop."""

    async def timed(work: Callable[[], T]) -> T:
        def on_thread() -> T:
            began = time.thread_time()
            try:
                return work()
            finally:
                spent[_PARTS.get(work.__qualname__, "lock and coverage")] += time.thread_time() - began

        return await on_a_thread(on_thread)

    async with AiohttpTransport() as network:
        await run(config, RunOptions("budget", AS_OF), _world(config, network, timed), lambda *_: nullcontext())


def _world(config: Config, network: Transport, offload: Offload) -> Environment:
    """The composition root's, but for what is done off the event loop."""
    return Environment(
        clock=SystemClock(),
        store=store_factory(config.lake, config.storage),
        transport=network,
        throttle=lambda workspace: EvenThrottle(workspace.rate_limit.per_second),
        rng=random.Random(),  # noqa: S311  # jitter
        offload=offload,
        stop=StopRequest(),
        process=ProcessIdentity.current(),
        recorder_limits=RecorderLimits(),
    )


_PARTS = {"Recorder._write.<locals>.<lambda>": "journal", "Recorder._land.<locals>.<lambda>": "landing"}
RUNGS = {"transport": transport, "api": api, "lane": lane}


def main() -> None:
    """Climb one rung."""
    rung, config = sys.argv[1], load(Path(sys.argv[2]), dict(os.environ), secrets=True)
    workspace, spent = config.workspaces[0], defaultdict[str, float](float)
    began = time.process_time()
    windows = list(plan(workspace, {}, AS_OF))
    spent["plan"] = time.process_time() - began
    began = time.process_time()
    asyncio.run(whole(config, spent) if rung == "run" else RUNGS[rung](workspace, windows))
    spent[rung] = time.process_time() - began
    print(json.dumps({name: 1000 * seconds / len(windows) for name, seconds in spent.items()}))


if __name__ == "__main__":
    main()
