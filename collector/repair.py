"""One workspace's repair: every file read whole, what is damaged moved aside, and what that means for the next run.

In: a store, a lock, a choice. Out: what was found. Nothing is fetched and nothing removed: a data file that is gone
voids its coverage, so the next run asks for what it held.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.lake import memory
from collector.lake.aside import move_aside
from collector.lake.errors import LakeBusy, LakeError
from collector.lake.guarded import Guarded
from collector.lake.inspection import FOREIGN, inspect
from collector.lake.lock import RENEW_EVERY
from collector.lake.paths import Partition, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.lake.lock import Lock
    from collector.lake.store import Store


@dataclass(frozen=True, slots=True)
class Choice:
    """What is moved aside: nothing in a dry run, foreign files where asked for."""

    dry_run: bool = False
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is not as it must be. `moved_to`: where it is now, None where it was left."""

    path: str
    place: Place
    reason: str
    moved_to: str | None
    lost: str


@dataclass(frozen=True, slots=True)
class Repair:
    """What came of a workspace. `problem`: why it was not gone through to its end."""

    workspace: str
    checked: int
    found: tuple[Found, ...]
    problem: LakeError | None = None


def repair(workspace: Workspace, store: Store, lock: Lock, clock: Clock, choice: Choice) -> Repair:
    """Go through a workspace's files under its lock; a dry run needs none. Raises LakeRefused."""
    memory.check(store, workspace.name, workspace.timezone.key)
    checked, found = 0, []
    try:
        if not choice.dry_run:
            lock.acquire()
        guarded = store if choice.dry_run else Guarded(store, lock)
        for path, reason in _renewing(inspect(guarded, workspace.name, workspace.timezone), lock, clock):
            checked += 1
            if reason is not None:
                found.append(_treat(guarded, workspace, path, reason, choice))
    except LakeError as problem:
        return Repair(workspace.name, checked, tuple(found), problem)
    finally:
        lock.release()
    return Repair(workspace.name, checked, tuple(found))


def exit_code(repairs: Sequence[Repair], strays: Sequence[str]) -> int:
    """0: every file that is left is sound. 4: another run holds a workspace. 5: something is left, or could not be."""
    problems = [repair.problem for repair in repairs if repair.problem is not None]
    left = [found for repair in repairs for found in repair.found if found.moved_to is None]
    if left or strays or any(not isinstance(problem, LakeBusy) for problem in problems):
        return 5
    return 4 if problems else 0


def _renewing(
    inspected: Iterator[tuple[str, str | None]], lock: Lock, clock: Clock
) -> Iterator[tuple[str, str | None]]:
    """Keep the lease while a large lake is read."""
    renewed = clock.monotonic()
    for each in inspected:
        if clock.monotonic() - renewed > RENEW_EVERY.total_seconds():
            lock.renew()
            renewed = clock.monotonic()
        yield each


def _treat(store: Store, workspace: Workspace, path: str, reason: str, choice: Choice) -> Found:
    stays = choice.dry_run or (reason == FOREIGN and not choice.foreign)
    moved_to = None if stays else move_aside(store, workspace.name, path)
    return Found(path, Place.of(path), reason, moved_to, _lost(workspace, path))


_LOST = {
    Place.RESTATEMENTS: "the restatements that it told are lost: the API does not tell them again; the counts are not",
    Place.COVERAGE: "the next run asks for all that is wanted again; rows that come back unchanged stay as they are",
    Place.LOG: "the log of one landing is lost, no count with it, and nothing is asked for again",
    Place.JOURNAL: "the next run asks for its windows again",
    Place.FOREIGN: "nothing of the collector's",
}


def _lost(workspace: Workspace, path: str) -> str:
    partition = Partition.of(path)
    if partition is None:
        return _LOST[Place.of(path)]
    month = f"{partition.month:%Y-%m}"
    if workspace.start is not None:
        return f"the next run asks for {month} again, as far as the config wants it; its rows begin at revision 0 anew"
    return (
        f"the next run asks again for what the config wants of {month}. It has no `start`, so older dates may need "
        f"`collector run --workspace {workspace.name} --from {partition.month} --to {_last_day(partition)}`; the rows "
        "begin at revision 0 anew"
    )


def _last_day(partition: Partition) -> str:
    return f"{partition.month:%Y-%m}-{monthrange(partition.month.year, partition.month.month)[1]}"
