"""What a run is given: its options, as a value, and everything that has an effect, made once and handed down.

`commands.py` makes the real ones; tests and simulations make others. Nothing else in the package reads a clock, draws a
random number, or opens a socket or a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.plan import ALL, Selection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import datetime
    from random import Random

    from collector.api.transport import Transport
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.fetch.limiter import Throttle
    from collector.fetch.stop import StopRequest
    from collector.lake.process import ProcessIdentity
    from collector.lake.recorder import Offload, RecorderResources
    from collector.lake.store import Store


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line requests of a run.

    `as_of` pins what is closed, what is fresh, and `collected_at`; `max_requests` limits the windows that are sent.
    `as_of_given`: by the user; where it is this machine's clock, that one must agree with the server's.
    """

    run_id: str
    as_of: datetime
    selection: Selection = ALL
    max_requests: int | None = None
    as_of_given: bool = False


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything that has an effect.

    `store` opens the lake as the run of the named workspace sees it. `throttle` makes a workspace's throttle. `offload`
    runs a function on a thread, so that the event loop does not wait for it; `renew` runs the renewal of a lock, on
    threads of its own, so that it never waits behind landings. `connections` are those of the process: each request in
    flight holds one.
    """

    clock: Clock
    store: Callable[[str], Store]
    transport: Transport
    throttle: Callable[[Workspace], Throttle]
    rng: Random
    offload: Offload
    renew: Offload
    connections: asyncio.Semaphore
    stop: StopRequest
    process: ProcessIdentity
    recorder: RecorderResources
