"""The limit: a loop over one aiohttp session, 32 requests in flight, bodies parsed by orjson, rows counted.

With a rate as fourth argument, it sends so many a second, evenly spread, however many are in flight.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_FLIGHT = 32
_TICK_SECONDS = 0.01


async def _work(session: aiohttp.ClientSession, urls: Iterator[str]) -> int:
    rows = 0
    for url in urls:
        async with session.get(url) as response:
            rows += len(orjson.loads(await response.read())["data"])
    return rows


async def _paced(session: aiohttp.ClientSession, urls: Iterator[str], rate: float) -> list[asyncio.Task[int]]:
    began, tasks = time.perf_counter(), list[asyncio.Task[int]]()
    for number, url in enumerate(urls):
        early = began + number / rate - time.perf_counter()
        if early > _TICK_SECONDS:
            await asyncio.sleep(early)
        tasks.append(asyncio.create_task(_work(session, iter([url]))))
    await asyncio.wait(tasks)
    return tasks


async def _all(url: str, requests: int, rate: float | None) -> int:
    series = (f"app_id=a{number // 250}&segment_id=s{number % 250}" for number in range(requests))
    urls = (f"{url}/sessions/data_series?length=100&unit=hour&{ids}" for ids in series)
    headers = {"Authorization": f"Bearer {os.environ['BENCH_KEY']}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        if rate:
            return sum(worker.result() for worker in await _paced(session, urls, rate))
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(_work(session, urls)) for _ in range(_IN_FLIGHT)]
    return sum(worker.result() for worker in workers)


def main() -> None:
    """Print the rows that came and the seconds that the loop took, start-up not counted."""
    began, cpu = time.perf_counter(), time.process_time()
    rate = float(sys.argv[4]) if len(sys.argv) > 4 else None
    rows = asyncio.run(_all(sys.argv[1], int(sys.argv[2]), rate))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    main()
