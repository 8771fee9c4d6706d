"""What one run is asked to do, as a value.

Everything with an effect, made once in the composition root and handed down: tests and simulations make another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.plan import ALL, Selection

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from random import Random

    from collector.api.transport import Transport
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.fetch.limiter import Throttle
    from collector.fetch.stop import StopRequest
    from collector.lake.process import ProcessIdentity
    from collector.lake.recorder import Offload, RecorderLimits
    from collector.lake.store import Store


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`as_of` pins what is closed, what is fresh, and `collected_at`; `max_requests` bounds the windows sent."""

    run_id: str
    as_of: datetime
    narrowing: Selection = ALL
    max_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """`store` and `pacer` make one for a workspace; `offload` runs a function off the event loop."""

    clock: Clock
    store: Callable[[str], Store]
    transport: Transport
    pacer: Callable[[Workspace], Throttle]
    rng: Random
    offload: Offload
    stop: StopRequest
    process: ProcessIdentity
    bounds: RecorderLimits
