"""The composition root: one function a command. Clock, network, stores, randomness and signals are made here alone.

In: a config and what the command line requests. Out: a summary, plans or repairs, as values. Nothing here prints.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import resource
import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from collector.api.network import read_network
from collector.api.transport import AiohttpTransport
from collector.clock import SystemClock
from collector.environment import Environment
from collector.fetch.limiter import EvenThrottle
from collector.fetch.stop import StopRequest
from collector.lake import landing, metadata
from collector.lake.covered_spans import as_coverage
from collector.lake.history import read_history
from collector.lake.landing import WorkspaceLake
from collector.lake.lease import WorkspaceLock
from collector.lake.presence import LakeAbsent, find_lake, refuse_missing_parent
from collector.lake.process import ProcessIdentity
from collector.lake.recorder import PointBudget, RecorderLimits, RecorderResources
from collector.lake.repair import repair, unowned_files
from collector.lake.store import LakeError
from collector.lake.stores import store_factory
from collector.plan import nightly_requests, plan
from collector.run import run
from collector.status import instant_to_measure_by, measure
from collector.windows import limit_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from datetime import datetime

    from collector.api.network import Network
    from collector.config.settings import Config, Workspace
    from collector.environment import RunOptions
    from collector.lake.repair import RepairOptions, RepairResult
    from collector.lake.store import Store
    from collector.plan import Selection
    from collector.run import Watch
    from collector.status import WorkspaceStatus
    from collector.summary import Summary
    from collector.windows import Windows


T = TypeVar("T")
log = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

STORE_THREADS = 16
"""For all that reads and writes the lake. Each has a few files open at once."""

LEASE_THREADS = 4
"""For the renewals of locks alone, which must never wait behind landings."""

LANDINGS_AT_ONCE = 4
"""Of all workspaces. Each may need some hundred megabytes; the other store threads go on writing journals."""

_OTHER_FILES = 160
"""Open files beside connections: up to six for each store thread, and the process's own."""


class RunCancelled(Exception):
    """A second signal ended the run before its summary. The next run lands what is in the journal."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"interrupted twice: exit {exit_code}")
        self.exit_code = exit_code


def new_run_id(now: datetime) -> str:
    """The time of the start, so that ids sort by time, and six hex digits, so that two runs of one second differ."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def run_collection(config: Config, options: RunOptions, watch: Watch, seconds: float | None) -> Summary:
    """Run to the end, or to a signal, or so that all has landed before `seconds` have passed.

    Raises RunCancelled, and NetworkError where the environment's proxies or certificates cannot be used.
    """
    if options.max_requests is not None:
        warn_if_bound_is_low(config, options.as_of, options.selection, options.max_requests)
    return asyncio.run(_run_collection(config, options, watch, seconds))


def make_ready(config: Config) -> bool:
    """Whether the run makes a new lake, which is logged.

    Raises LakeAbsent where it must not, and NetworkError where the environment's proxies cannot be used.
    """
    _network_of(config)
    try:
        there = find_lake(config, _any_store(config))
    except LakeAbsent:
        raise
    except LakeError:  # each workspace meets it again, as its own outcome
        return False
    if not there:
        refuse_missing_parent(config.lake)
        log.warning("there is no lake at %s yet: this run makes a new one. Should there be one already?", config.lake)
    return not there


def plan_all(
    config: Config, now: datetime, selection: Selection, max_requests: int | None
) -> list[tuple[Workspace, Windows, int]]:
    """What a run would request, by workspace, and what a night with nothing missing requests.

    Reads the lake; writes nothing, requests nothing. Raises LakeError.
    """
    plans, stores = [], store_factory(config.lake, config.storage)
    if not find_lake(config, _any_store(config)):
        log.info("there is no lake at %s yet: a run makes it", config.lake)
    for workspace in config.workspaces:
        lake = WorkspaceLake.of(stores(workspace.name), workspace, max(now, SystemClock().now()))
        metadata.check_metadata(lake.store, workspace.name, workspace.timezone)
        plans.append(plan(workspace, as_coverage(landing.current_coverage(lake).spans), now, selection))
    kept = [windows for windows, _ in limit_requests(plans, max_requests)]
    nightly = warn_if_bound_is_low(config, now, selection, max_requests)
    return list(zip(config.workspaces, kept, nightly, strict=True))


def warn_if_bound_is_low(config: Config, now: datetime, selection: Selection, max_requests: int | None) -> list[int]:
    """What a night with nothing missing requests, by workspace. Logs where a bound is below the sum."""
    nightly = [nightly_requests(workspace, now, selection) for workspace in config.workspaces]
    if max_requests is not None and max_requests < sum(nightly) and not selection.forced:
        log.warning(
            "--max-requests %d is less than one night needs (%d windows: new buckets and the lookback): series take "
            "turns, and nothing older is reached",
            max_requests, sum(nightly),
        )  # fmt: skip
    return nightly


def status_all(config: Config, as_of: datetime | None, days: int) -> list[WorkspaceStatus]:
    """What is wanted and what is there, by workspace. Reads the lake alone. Raises LakeError."""
    now, stores, found = SystemClock().now(), store_factory(config.lake, config.storage), []
    find_lake(config, _any_store(config))
    for workspace in config.workspaces:
        lake = WorkspaceLake.of(stores(workspace.name), workspace, max(as_of or now, now))
        metadata.check_metadata(lake.store, workspace.name, workspace.timezone)
        history = read_history(lake.store, workspace.name, now)
        coverage = as_coverage(landing.recorded_coverage(lake, "", report=False).spans)
        measured_at = as_of or instant_to_measure_by(history, now)
        found.append(measure(workspace, coverage, history, measured_at, as_of or now, days))
    return found


def repair_all(config: Config, choice: RepairOptions) -> tuple[list[RepairResult], list[str]]:
    """Repair every workspace's part of the lake, and name the files that belong to no workspace. Raises LakeError."""
    clock, stores, repairs = SystemClock(), store_factory(config.lake, config.storage), []
    if not find_lake(config, _any_store(config)):
        raise LakeAbsent(f"there is no lake at {config.lake}, so nothing can be repaired: should there be one?")
    for workspace in config.workspaces:
        store = stores(workspace.name)
        lock = WorkspaceLock(store, workspace.name, clock, new_run_id(clock.now()), ProcessIdentity.current())
        repairs.append(repair(workspace, store, lock, clock, choice))
    return repairs, unowned_files(store)


def _any_store(config: Config) -> Store:
    """The store of any workspace shows all of the lake."""
    return store_factory(config.lake, config.storage)(config.workspaces[0].name)


def _network_of(config: Config) -> Network:
    return read_network(os.environ, (workspace.endpoint for workspace in config.workspaces))


async def _run_collection(config: Config, options: RunOptions, watch: Watch, seconds: float | None) -> Summary:
    network = _network_of(config)
    stop, clock, connections = StopRequest(), SystemClock(), _fit_open_files(config.limits.connections)
    with ThreadPoolExecutor(STORE_THREADS, "store") as stores, ThreadPoolExecutor(LEASE_THREADS, "lease") as leases:
        async with AiohttpTransport(connections=connections, network=network) as transport:
            offload = partial(on_a_thread, stores)
            env = Environment(
                clock=clock,
                store=store_factory(config.lake, config.storage),
                transport=transport,
                throttle=lambda workspace: EvenThrottle(workspace.rate_limit.per_second),
                rng=random.Random(),  # noqa: S311  # jitter is no secret
                offload=offload,
                renew=partial(on_a_thread, leases),
                connections=asyncio.Semaphore(connections),
                stop=stop,
                process=ProcessIdentity.current(),
                recorder=RecorderResources(
                    clock, offload, asyncio.Semaphore(LANDINGS_AT_ONCE), PointBudget(), RecorderLimits()
                ),
            )
            with _signals_to(stop), _deadline_to(stop, seconds):
                return await run(config, options, env, watch)


async def on_a_thread(threads: Executor | None, work: Callable[[], T]) -> T:
    """Run `work` on one of the threads. When cancelled, wait for it first: no file operation outlives the lock."""
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _fit_open_files(connections: int) -> int:
    """Raise the limit of open files to what the run needs, or return fewer connections where that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= connections + _OTHER_FILES:
        return connections
    wanted = connections + _OTHER_FILES if hard == resource.RLIM_INFINITY else min(hard, connections + _OTHER_FILES)
    if wanted > soft:
        with suppress(ValueError, OSError):  # the system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    fitting = min(connections, max(1, soft - _OTHER_FILES))
    if fitting < connections:
        log.warning(
            "only %d files may be open at once, so %d connections are used instead of %d: raise `ulimit -n` to %d",
            soft, fitting, connections, connections + _OTHER_FILES,
        )  # fmt: skip
    return fitting


@contextmanager
def _signals_to(stop: StopRequest) -> Iterator[None]:
    """The first signal ends the run cleanly, the second cancels what is still in flight, more change nothing."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def arrived(number: signal.Signals) -> None:
        if stop.exit_code is None:
            log.warning(
                "%s: no more requests are sent; answers that are on their way are awaited and landed", number.name
            )
            stop.request(f"interrupted by {number.name}", exit_code=128 + number)
        elif task is not None and not task.cancelling():
            log.warning("%s again: requests in flight are cancelled", number.name)
            task.cancel()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, arrived, number)
    try:
        yield
    except asyncio.CancelledError:
        if stop.exit_code is None:
            raise
        raise RunCancelled(stop.exit_code) from None
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


@contextmanager
def _deadline_to(stop: StopRequest, seconds: float | None) -> Iterator[None]:
    """Stop sending early enough that what is in flight can finish, and land, within `seconds`."""
    if seconds is None:
        yield
        return
    margin = min(30.0, seconds / 4)
    stop.grace_seconds = min(stop.grace_seconds, margin / 2)
    timer = asyncio.get_running_loop().call_later(seconds - margin, stop.request, "the deadline was reached")
    try:
        yield
    finally:
        timer.cancel()
