"""A simulated process that counts its effects and can crash at one of them; after that it has no more effects.

An effect is what other processes can see: a file staged, published, deleted or moved, a staged file deleted, a request
sent. Handlers and `finally` blocks that run after the crash cannot have any effect, as after `kill -9`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.lake.store import LakeError

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = "request"
WRITES = frozenset({"stage", "publish"})
"""The effects that need space on the disk."""


class Killed(BaseException):
    """The process was killed."""


@dataclass(slots=True)
class SimulatedProcess:
    """Where the process crashes, is suspended, or finds its disk failing. Effects are numbered from 1.

    `kill_at`: it crashes instead of this effect. `store_effects_only`: requests are not counted for that.
    `suspend_at`: the store effect before which it is suspended; `meanwhile` is called then.
    `failing_writes`: writes that find the disk full. `failing_effects`: store effects that fail with an I/O error.
    """

    kill_at: int | None = None
    store_effects_only: bool = True
    suspend_at: int | None = None
    meanwhile: Callable[[], None] = print
    failing_writes: range = range(0)
    failing_effects: range = range(0)
    dead: bool = False
    done: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def effect(self, what: str) -> None:
        """Count an effect that is about to happen. Raises Killed or LakeError instead of it."""
        self.check_alive()
        self.done[what] += 1
        if self._count() == self.kill_at:
            self.dead = True
            raise Killed
        if what != REQUEST and self.store_effects == self.suspend_at:
            self.meanwhile()
        if what in WRITES and sum(self.done[write] for write in WRITES) in self.failing_writes:
            self._fail(f"cannot write {what}: No space left on device")
        if what != REQUEST and self.store_effects in self.failing_effects:
            self._fail(f"cannot {what}: Input/output error")

    def check_alive(self) -> None:
        """Raise Killed if the process was killed."""
        if self.dead:
            raise Killed

    @property
    def store_effects(self) -> int:
        """How many effects there were but requests."""
        return self.done.total() - self.done[REQUEST]

    def _count(self) -> int:
        return self.store_effects if self.store_effects_only else self.done.total()

    def _fail(self, text: str) -> None:
        self.failed += 1
        raise LakeError(text)
