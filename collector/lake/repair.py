"""Every file of a workspace read whole, page by page against its checksums, and held against what it must be.

In: a store. Out: paths, each with what is wrong with it. It changes nothing, and holds one file in memory at a time.

Files that cannot be read, out of the tables' way: renamed, never removed, and never over one another.

One workspace's repair: every file read whole, what is damaged moved aside, and what that means for the next run.

In: a store, a lock, a choice. Out: what was found. Nothing is fetched and nothing removed: a data file that is gone
voids its coverage, so the next run asks for what it held.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING

from collector.lake import coverage_table, journal, merge, metadata, paths
from collector.lake.lease import RENEW_EVERY, FencedStore
from collector.lake.parquet import LakeParquetFile
from collector.lake.paths import FileKind, Partition
from collector.lake.store import DamagedFile, LakeBusy, LakeError
from collector.lake.tables import LOG, RESTATEMENTS, data_table, time_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.lake.lease import WorkspaceLock
    from collector.lake.store import Store


FOREIGN = "it is no file of the collector's, and readers of the table trip over it"


def inspect(store: Store, workspace: str, zone: ZoneInfo) -> Iterator[tuple[str, str | None]]:
    """Each file of the workspace's tables and journals, and what is wrong with it.

    Raises LakeError where the disk fails: that is no damage.
    """
    for folder in paths.workspace_folders(workspace):
        for path in sorted(store.list(folder)):
            yield path, _reason_if_damaged(store, zone, path)


def unowned_files(store: Store) -> list[str]:
    """Files in a table's folder that belong to no workspace."""
    return [
        path
        for table in paths.tables()
        for path in sorted(store.list(table))
        if not path.startswith(f"{table}/workspace=")
    ]


def _reason_if_damaged(store: Store, zone: ZoneInfo, path: str) -> str | None:
    place = FileKind.of(path)
    if place is FileKind.FOREIGN:
        return FOREIGN
    try:
        if place is FileKind.JOURNAL:
            journal.verify_journal(store, [path])
        else:
            _check_file(store, zone, path, place)
    except DamagedFile as damaged:
        return damaged.reason
    return None


def _check_file(store: Store, zone: ZoneInfo, path: str, place: FileKind) -> None:
    entry = LakeParquetFile.open(store, path)
    if entry is None:  # a run that goes on meanwhile has replaced or dropped it
        return
    with entry:
        partition = Partition.of(path)
        if partition is not None:
            _check_data(entry, partition)
        elif place is FileKind.COVERAGE:
            coverage_table.parse(entry, zone)
        else:
            entry.table((LOG if place is FileKind.LOG else RESTATEMENTS).schema)


def _check_data(entry: LakeParquetFile, partition: Partition) -> None:
    table = data_table(partition.scope, partition.unit)
    rows = entry.table(table.schema, table.texts)
    months = merge.bucket_months(
        partition.unit, merge.bucket_numbers(partition.unit, rows[time_column(partition.unit)])
    )
    if months and months != [partition.month]:
        raise entry.damaged(f"it holds rows of {', '.join(str(month) for month in months)}")


def quarantine(store: Store, workspace: str, path: str) -> str:
    """Move a file below the folder of what is damaged, under the path that it had. Returns where it is now."""
    folder = paths.quarantine_folder(workspace)
    taken = store.list(folder)
    names = chain([f"{folder}/{path}"], (f"{folder}/{path}.{number}" for number in count(2)))
    to = next(name for name in names if name not in taken)
    store.move(path, to)
    return to


@dataclass(frozen=True, slots=True)
class RepairOptions:
    """What is moved aside: nothing in a dry run, foreign files where asked for."""

    dry_run: bool = False
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class DamagedFileReport:
    """A file that is not as it must be. `moved_to`: where it is now, None where it was left."""

    path: str
    place: FileKind
    reason: str
    moved_to: str | None
    lost: str


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What came of a workspace. `problem`: why it was not gone through to its end."""

    workspace: str
    checked: int
    found: tuple[DamagedFileReport, ...]
    problem: LakeError | None = None


def repair(
    workspace: Workspace, store: Store, lock: WorkspaceLock, clock: Clock, choice: RepairOptions
) -> RepairResult:
    """Go through a workspace's files under its lock; a dry run needs none. Raises LakeRefused."""
    metadata.check_metadata(store, workspace.name, workspace.timezone.key)
    checked, found = 0, []
    try:
        if not choice.dry_run:
            lock.acquire()
        guarded = store if choice.dry_run else FencedStore(store, lock)
        for path, reason in _renewing(inspect(guarded, workspace.name, workspace.timezone), lock, clock):
            checked += 1
            if reason is not None:
                found.append(_treat(guarded, workspace, path, reason, choice))
    except LakeError as problem:
        return RepairResult(workspace.name, checked, tuple(found), problem)
    finally:
        lock.release()
    return RepairResult(workspace.name, checked, tuple(found))


def exit_code(repairs: Sequence[RepairResult], strays: Sequence[str]) -> int:
    """0: every file that is left is sound. 4: another run holds a workspace. 5: something is left, or could not be."""
    problems = [repair.problem for repair in repairs if repair.problem is not None]
    left = [found for repair in repairs for found in repair.found if found.moved_to is None]
    if left or strays or any(not isinstance(problem, LakeBusy) for problem in problems):
        return 5
    return 4 if problems else 0


def _renewing(
    inspected: Iterator[tuple[str, str | None]], lock: WorkspaceLock, clock: Clock
) -> Iterator[tuple[str, str | None]]:
    """Keep the lease while a large lake is read."""
    renewed = clock.monotonic()
    for each in inspected:
        if clock.monotonic() - renewed > RENEW_EVERY.total_seconds():
            lock.renew()
            renewed = clock.monotonic()
        yield each


def _treat(store: Store, workspace: Workspace, path: str, reason: str, choice: RepairOptions) -> DamagedFileReport:
    stays = choice.dry_run or (reason == FOREIGN and not choice.foreign)
    moved_to = None if stays else quarantine(store, workspace.name, path)
    return DamagedFileReport(path, FileKind.of(path), reason, moved_to, _lost(workspace, path))


_LOST = {
    FileKind.RESTATEMENTS: "the restatements in this file are lost, since the API reports each only once; no counts",
    FileKind.COVERAGE: "the next run asks for all that is wanted again; rows that come back unchanged stay as they are",
    FileKind.LOG: "the log of one landing is lost, no count with it, and nothing is asked for again",
    FileKind.JOURNAL: "the next run asks for its windows again",
    FileKind.FOREIGN: "nothing of the collector's",
}


def _lost(workspace: Workspace, path: str) -> str:
    partition = Partition.of(path)
    if partition is None:
        return _LOST[FileKind.of(path)]
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
