"""One stage of the `budget` benchmark: `python -m scripts.bench.stages STAGE CONFIG` prints JSON.

`transport` sends the requests of the config and drops the replies; `api` also decodes them; `fetcher` adds throttle,
quota, retry and bookkeeping; `run` is the complete run, with the time of journal and landing on their threads. Figures
are processor milliseconds per request over all threads, without start-up.
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
from collector.fetch.fetcher import FetchResources, WorkspaceFetcher
from collector.fetch.limiter import EvenThrottle
from collector.fetch.stop import StopRequest
from collector.lake.process import ProcessIdentity
from collector.lake.recorder import PointBudget, RecorderResources
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
    """HTTP only."""
    requests = RequestBuilder(workspace)
    async with AiohttpTransport() as network:
        await _concurrently(workspace, windows, lambda window: network.get(requests.build(window)))


async def api(workspace: Workspace, windows: Sequence[Window]) -> None:
    """HTTP, headers, decoding."""
    async with AiohttpTransport() as network:
        await _concurrently(workspace, windows, ApiClient(workspace, network, SystemClock()).fetch)


async def fetcher(workspace: Workspace, windows: Sequence[Window]) -> None:
    """HTTP, decoding, throttle, quota, retry."""

    async def drop(_: Outcome) -> None:
        """Discard the outcome."""

    clock = SystemClock()
    async with AiohttpTransport() as network:
        throttle = EvenThrottle(workspace.rate_limit.per_second)
        client = ApiClient(workspace, network, clock)
        rng = random.Random()  # noqa: S311  # jitter
        resources = FetchResources(throttle, asyncio.Semaphore(workspace.concurrency), clock, rng, StopRequest())
        await WorkspaceFetcher(workspace, client, resources, AS_OF, as_of_given=True).collect(windows, drop)


async def _concurrently(
    workspace: Workspace, windows: Sequence[Window], fetch: Callable[[Window], Awaitable[object]]
) -> None:
    async def work(queue: Iterator[Window]) -> None:
        for window in queue:
            await fetch(window)

    queue = iter(windows)
    async with asyncio.TaskGroup() as group:
        for _ in range(workspace.concurrency):
            group.create_task(work(queue))


async def complete_run(config: Config, spent: dict[str, float]) -> None:
    """A complete run; adds the time spent off the event loop to `spent`."""

    async def timed(work: Callable[[], T]) -> T:
        def on_thread() -> T:
            started = time.thread_time()
            try:
                return work()
            finally:
                spent[_PARTS.get(work.__qualname__, "lock and coverage")] += time.thread_time() - started

        return await on_a_thread(None, on_thread)

    async with AiohttpTransport() as network:
        options = RunOptions("budget", AS_OF, as_of_given=True)
        await run(config, options, _environment(config, network, timed), lambda *_: nullcontext())


def _environment(config: Config, network: Transport, offload: Offload) -> Environment:
    """The environment of `collector run`, with another `offload`."""
    return Environment(
        clock=SystemClock(),
        store=store_factory(config.lake, config.storage),
        transport=network,
        throttle=lambda workspace: EvenThrottle(workspace.rate_limit.per_second),
        rng=random.Random(),  # noqa: S311  # jitter
        offload=offload,
        renew=offload,
        connections=asyncio.Semaphore(200),
        stop=StopRequest(),
        process=ProcessIdentity.current(),
        recorder=RecorderResources(SystemClock(), offload, asyncio.Semaphore(4), PointBudget()),
    )


_PARTS = {"Recorder._write.<locals>.<lambda>": "journal", "Recorder._land.<locals>.<lambda>": "landing"}
STAGES = {"transport": transport, "api": api, "fetcher": fetcher}


def main() -> None:
    """Measure one stage."""
    stage, config = sys.argv[1], load(Path(sys.argv[2]), dict(os.environ), secrets=True)
    workspace, spent = config.workspaces[0], defaultdict[str, float](float)
    started = time.process_time()
    windows = list(plan(workspace, {}, AS_OF))
    spent["plan"] = time.process_time() - started
    started = time.process_time()
    asyncio.run(complete_run(config, spent) if stage == "run" else STAGES[stage](workspace, windows))
    spent[stage] = time.process_time() - started
    print(json.dumps({name: 1000 * seconds / len(windows) for name, seconds in spent.items()}))


if __name__ == "__main__":
    main()
