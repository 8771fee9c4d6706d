"""Repair of one workspace: every file is read completely and checked, and damaged files are quarantined.

In: a store, a lock and options. Out: the files that are damaged or foreign, and what each means for the next run.

Nothing is fetched and nothing is deleted. A quarantined file is renamed, and never replaces another. A data file that
is no longer in place invalidates its coverage, so the next run requests its data again. One file is in memory at a
time.
"""

from __future__ import annotations

import asyncio
from calendar import monthrange
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.lake import coverage_table, journal, metadata, paths
from collector.lake.append_tables import record_died
from collector.lake.landing import quarantine
from collector.lake.lease import RENEW_EVERY, FencedStore, LeaseUnclear
from collector.lake.parquet import LakeParquetFile
from collector.lake.partition import check_rows
from collector.lake.paths import FileKind, Partition
from collector.lake.store import DamagedFile, LakeBusy, LakeError
from collector.lake.tables import LOG, RESTATEMENTS, RUNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.lake.coverage_table import FileRecord
    from collector.lake.lease import LockOwner, WorkspaceLock
    from collector.lake.store import Store, Version


@dataclass(frozen=True, slots=True)
class RepairOptions:
    """What is quarantined: damaged files, unless it is a dry run; with `foreign`, foreign files too."""

    dry_run: bool = False
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class DamagedFileReport:
    """A damaged or foreign file. `moved_to`: where it is now, None if it was left in place.

    `consequence`: what is lost, or what the next run does, once the file is quarantined.
    """

    path: str
    kind: FileKind
    reason: str
    moved_to: str | None
    consequence: str


@dataclass(frozen=True, slots=True)
class RepairResult:
    """The result for a workspace. `checked`: the number of files read. `problem`: why the repair did not finish."""

    workspace: str
    checked: int
    found: tuple[DamagedFileReport, ...]
    problem: LakeError | None = None


def repair(
    workspace: Workspace, store: Store, lock: WorkspaceLock, clock: Clock, options: RepairOptions
) -> RepairResult:
    """Check and quarantine a workspace's files under its lock; a dry run takes no lock. Raises LakeRefused."""
    metadata.check_metadata(store, workspace.name, workspace.timezone)
    checked, found = 0, []
    try:
        left_behind = None if options.dry_run else _acquire(lock, clock)
        fenced = store if options.dry_run else FencedStore(store, lock)
        for path, reason in _renewing(inspect(fenced, workspace.name), lock, clock):
            checked += 1
            if reason is not None:
                found.append(_report(fenced, workspace, path, reason, options))
        if left_behind is not None:
            record_died(fenced, workspace.name, left_behind)
    except LakeError as problem:
        return RepairResult(workspace.name, checked, tuple(found), problem)
    finally:
        lock.release()
    return RepairResult(workspace.name, checked, tuple(found))


def _acquire(lock: WorkspaceLock, clock: Clock) -> LockOwner | None:
    while True:
        try:
            return lock.acquire()
        except LeaseUnclear as unclear:
            asyncio.run(clock.sleep(unclear.seconds))


def unowned_files(store: Store) -> list[str]:
    """Files in a table's folder that belong to no workspace."""
    return [
        path
        for table in paths.tables()
        for path in sorted(store.list(table))
        if not path.startswith(f"{table}/workspace=")
    ]


def exit_code(results: Sequence[RepairResult], unowned: Sequence[str]) -> int:
    """0: all files in place are sound. 4: another run has locked a workspace. 5: a file is not, or was not checked."""
    problems = [result.problem for result in results if result.problem is not None]
    left = [found for result in results for found in result.found if found.moved_to is None]
    if left or unowned or any(not isinstance(problem, LakeBusy) for problem in problems):
        return 5
    return 4 if problems else 0


def inspect(store: Store, workspace: str) -> Iterator[tuple[str, str | None]]:
    """Each file of the workspace's tables and journals, and what is wrong with it; None for a sound file.

    Raises LakeError if a file cannot be read because of the disk or the network, which is not damage.
    """
    recorded = coverage_table.read(store, workspace).files
    for folder in paths.workspace_folders(workspace):
        for path, version in sorted(store.list(folder).items()):
            yield path, _damage(store, path) or _change(store, path, version, recorded.get(path))


def _damage(store: Store, path: str) -> str | None:
    kind = FileKind.of(path)
    if kind is FileKind.FOREIGN:
        return "not written by the collector; query engines may fail to read the table while it is here"
    try:
        if kind is FileKind.JOURNAL:
            journal.verify_journal(store, [path])
        else:
            _check_table_file(store, path, kind)
    except DamagedFile as damaged:
        return damaged.reason
    return None


def _change(store: Store, path: str, version: Version, recorded: FileRecord | None) -> str | None:
    """How a data file that names its landing differs from what that landing wrote; None where it does not."""
    if recorded is None or recorded.version == version:
        return None
    found, _ = coverage_table.read_record(store, path, version)
    if found.landing != recorded.landing or (found.size, found.rows) == (recorded.size, recorded.rows):
        return None
    return f"another program has rewritten it: it has {found.rows} rows, and was written with {recorded.rows}"


def _check_table_file(store: Store, path: str, kind: FileKind) -> None:
    """Read all pages, against their checksums, and compare the columns with the table's. Raises DamagedFile."""
    file = LakeParquetFile.open(store, path)
    if file is None:  # in a dry run: another run has replaced or deleted it since it was listed
        return
    with file:
        partition = Partition.of(path)
        if partition is not None:
            check_rows(file, partition)
        elif kind is FileKind.COVERAGE:
            coverage_table.parse(file)
        else:
            file.table(_TABLES[kind].schema)


_TABLES = {FileKind.LOG: LOG, FileKind.RESTATEMENTS: RESTATEMENTS, FileKind.RUNS: RUNS}


def _renewing(
    inspected: Iterator[tuple[str, str | None]], lock: WorkspaceLock, clock: Clock
) -> Iterator[tuple[str, str | None]]:
    """Renew the lease between two files, since a large lake takes longer to read than a lease is valid."""
    renewed = clock.monotonic()
    for each in inspected:
        if clock.monotonic() - renewed > RENEW_EVERY.total_seconds():
            lock.renew()
            renewed = clock.monotonic()
        yield each


def _report(store: Store, workspace: Workspace, path: str, reason: str, options: RepairOptions) -> DamagedFileReport:
    kind = FileKind.of(path)
    stays = options.dry_run or (kind is FileKind.FOREIGN and not options.foreign)
    moved_to = None if stays else quarantine(store, workspace.name, path)
    return DamagedFileReport(path, kind, reason, moved_to, _consequence(workspace, path))


_CONSEQUENCES = {
    FileKind.RESTATEMENTS: "the restatements in this file are lost, since the API reports each only once; no counts "
    "are lost",
    FileKind.COVERAGE: "the next run requests everything in the config again; rows whose counts are the same do not "
    "change",
    FileKind.LOG: "the log of one month is lost; no counts are lost, and nothing is requested again",
    FileKind.RUNS: "the list of one month's runs is lost; no counts are lost, and nothing is requested again",
    FileKind.JOURNAL: "the next run requests its windows again",
    FileKind.FOREIGN: "no data of the collector is affected",
}


def _consequence(workspace: Workspace, path: str) -> str:
    partition = Partition.of(path)
    if partition is None:
        return _CONSEQUENCES[FileKind.of(path)]
    month = f"{partition.month:%Y-%m}"
    if workspace.start is not None:
        return f"the next run requests {month} again, as far as the config includes it; its rows start at revision 0"
    return (
        f"the next run requests what the config includes of {month} again. The config has no `start`, so older dates "
        f"may need `collector run --workspace {workspace.name} --from {partition.month} --to {_last_day(partition)}`; "
        "the rows start at revision 0"
    )


def _last_day(partition: Partition) -> str:
    return f"{partition.month:%Y-%m}-{monthrange(partition.month.year, partition.month.month)[1]}"
