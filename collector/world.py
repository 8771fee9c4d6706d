"""Everything with an effect, made once in the composition root and handed down: tests and simulations make another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from collector.api.transport import Transport
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.fetch.pacing import Pacer
    from collector.fetch.stop import Stop
    from collector.lake.lock import Process
    from collector.lake.recorder import Bounds, Offload
    from collector.lake.store import Store


@dataclass(frozen=True, slots=True)
class World:
    """`store` and `pacer` make one for a workspace; `offload` runs a function off the event loop."""

    clock: Clock
    store: Callable[[str], Store]
    transport: Transport
    pacer: Callable[[Workspace], Pacer]
    rng: Random
    offload: Offload
    stop: Stop
    process: Process
    bounds: Bounds
