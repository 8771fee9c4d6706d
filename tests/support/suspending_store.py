"""A run that is suspended between two steps of its store, while another run takes over its workspace and lands.

Both runs are in this process, on threads of their own: a run can be suspended exactly at a step, which no signal from
outside could do.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from collector.api.transport import AiohttpTransport
from collector.clock import SystemClock
from collector.commands import on_a_thread
from collector.environment import Environment, RunOptions
from collector.fetch.limiter import EvenThrottle
from collector.fetch.stop import StopRequest
from collector.lake.process import ProcessIdentity
from collector.lake.recorder import PointBudget, RecorderResources
from collector.lake.stores import open_store
from collector.run import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from collector.clock import Clock
    from collector.config.settings import Config
    from collector.fetch.progress import FetchProgress
    from collector.lake.store import Replacement, Stage, Store, Version
    from collector.summary import Summary


class ClockAhead(SystemClock):
    """The clock of a run that starts after every earlier lease has expired."""

    def now(self) -> datetime:
        """The present instant plus one hour."""
        return super().now() + timedelta(hours=1)


class SuspendingStore:
    """A store whose run is suspended before step `at`; `meanwhile` is called then. `steps` counts all steps."""

    def __init__(self, store: Store, at: int, meanwhile: Callable[[], None]) -> None:
        self._store, self._at, self._meanwhile = store, at, meanwhile
        self.steps = 0

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._at:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(self._meanwhile).result()

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        self._step()
        return self._store.open(path)

    def open_footer(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        self._step()
        return self._store.open_footer(path)

    def list(self, folder: str) -> Mapping[str, Version]:
        self._step()
        return self._store.list(folder)

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        self._step()
        with self._store.stage() as stage:
            yield stage
            self._step()

    def publish(self, replacement: Replacement) -> Version:
        self._step()
        return self._store.publish(replacement)

    def delete(self, path: str, expected: Version | None = None) -> None:
        self._step()
        self._store.delete(path, expected)

    def move(self, path: str, to: str) -> None:
        self._step()
        self._store.move(path, to)

    def delete_staged(self) -> None:
        self._step()
        self._store.delete_staged()


def collect(config: Config, as_of: datetime, run_id: str, clock: Clock, store: Callable[[str], Store]) -> Summary:
    """Make a run on this thread."""
    return asyncio.run(_collect(config, as_of, run_id, clock, store))


def stores_of(config: Config) -> Callable[[str], Store]:
    """What opens the store of each workspace of the config's lake."""
    return lambda workspace: open_store(config.lake, workspace)


async def _collect(
    config: Config, as_of: datetime, run_id: str, clock: Clock, store: Callable[[str], Store]
) -> Summary:
    offload = partial(on_a_thread, None)
    async with AiohttpTransport() as transport:
        env = Environment(
            clock=clock,
            store=store,
            transport=transport,
            throttle=lambda workspace: EvenThrottle(workspace.rate_limit.per_second),
            rng=Random(run_id),  # noqa: S311  # jitter is no secret
            offload=offload,
            renew=offload,
            connections=asyncio.Semaphore(100),
            stop=StopRequest(),
            process=ProcessIdentity.current(),
            recorder=RecorderResources(clock, offload, asyncio.Semaphore(4), PointBudget()),
        )
        return await run(config, RunOptions(run_id, as_of, as_of_given=True), env, no_progress)


@asynccontextmanager
async def no_progress(_: Sequence[FetchProgress], __: Clock) -> AsyncIterator[None]:
    """Show no progress."""
    yield
