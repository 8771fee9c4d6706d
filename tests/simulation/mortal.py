"""A process that can die: it counts its effects, and from the one it dies at none of its code does anything more.

An effect is what others can see: a file staged, published, deleted or moved, a sweep, a request sent. Handlers and
`finally` blocks that run while the exception travels find every door shut, as after `kill -9`.
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
"""The effects that want room on the disk."""


class Killed(BaseException):
    """The process is dead."""


@dataclass(slots=True)
class Mortal:
    """`kill_at`: dies in place of the effect of this number, from 1 on, all counted, or but for requests (`of_store`).

    `sleeps_at`: the store's effect, by number, before which it falls asleep; `meanwhile` is what then happens.
    `fails`: the numbers of the writes that find the disk full; `broken`: the disk fails every effect from this number.
    """

    kill_at: int | None = None
    of_store: bool = True
    sleeps_at: int | None = None
    meanwhile: Callable[[], None] = print
    fails: range = range(0)
    broken: range = range(0)
    dead: bool = False
    done: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def effect(self, what: str) -> None:
        """Say that the next effect is to happen. Raises Killed or LakeError in its place."""
        self.breathe()
        self.done[what] += 1
        if self._count() == self.kill_at:
            self.dead = True
            raise Killed
        if what != REQUEST and self.of_all_stores == self.sleeps_at:
            self.meanwhile()
        if what in WRITES and sum(self.done[write] for write in WRITES) in self.fails:
            self._fail(f"cannot write {what}: No space left on device")
        if what != REQUEST and self.of_all_stores in self.broken:
            self._fail(f"cannot {what}: Input/output error")

    def breathe(self) -> None:
        """Go on only where the process lives."""
        if self.dead:
            raise Killed

    @property
    def of_all_stores(self) -> int:
        """How many effects the stores had."""
        return self.done.total() - self.done[REQUEST]

    def _count(self) -> int:
        return self.of_all_stores if self.of_store else self.done.total()

    def _fail(self, text: str) -> None:
        self.failed += 1
        raise LakeError(text)
