"""Land a journal: merge it into restatements, data, coverage and log, in that order, and then delete it.

In: a journal. Out: the lake with its answers. Everything is staged before anything is published, so a full disk leaves
the lake as it was. A landing that dies half-way is landed again by the next run, from the same journal, and each
restatement is recorded exactly once:

- The journal fixes the values. A row that already has its answer's value is not restated a second time, which is why
  restatements are published before the data.
- Restatements have a key (series, bucket, run). Rows whose key is in the table already are not added again.
- Data files name in their footers the landing that wrote them and the one that they replaced. So the next run
  recognizes the files of the interrupted landing, which the coverage does not list yet.
- The log comes last, in a file with the landing's name. Where it exists, only the journal is left to delete.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING

from collector.lake import append_tables, coverage_table, paths
from collector.lake.coverage_table import FileVersion, drop_stale_coverage, with_answers
from collector.lake.journal import delete_journal, pending_journals, read_journal, verify_journal
from collector.lake.partition import merge_partition, partitions
from collector.lake.store import NO_FILE, DamagedFile, Replacement

if TYPE_CHECKING:
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from collector.lake.coverage_table import CoverageState
    from collector.lake.journal import Journal
    from collector.lake.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkspaceLake:
    """One workspace's part of a lake. `refresh_after`: the age from which an answer is stale."""

    store: Store
    workspace: str
    zone: ZoneInfo
    refresh_after: timedelta


@dataclass(frozen=True, slots=True)
class LandingCounts:
    """What a landing changed. `files_written` counts the files of all tables."""

    rows_added: int = 0
    rows_restated: int = 0
    rows_unchanged: int = 0
    files_written: int = 0

    def __add__(self, other: LandingCounts) -> LandingCounts:
        return LandingCounts(
            self.rows_added + other.rows_added,
            self.rows_restated + other.rows_restated,
            self.rows_unchanged + other.rows_unchanged,
            self.files_written + other.files_written,
        )


def land(lake: WorkspaceLake, journal: Journal) -> LandingCounts:
    """Land a journal. After a LakeError the journal is still there, and can be landed again."""
    counts = LandingCounts()
    log_path = paths.log(lake.workspace, journal.landing_id.run_date, journal.landing_id.name)
    # The log is the last file of a landing. Where it exists, everything else is published, and the run that did so died
    # before all of the journal was deleted.
    if not _exists(lake.store, log_path):
        counts, replacements = _stage(lake, journal, log_path)
        # The order is that of `_stage`. After a failure the journal is still there, and the next run lands it again.
        for replacement in replacements:
            lake.store.publish(replacement)
        counts += LandingCounts(files_written=len(replacements))
    delete_journal(lake.store, journal.files)
    return counts


def recover(lake: WorkspaceLake) -> LandingCounts:
    """Land the journals that interrupted runs left behind, oldest first. The caller holds the lock."""
    # The lock is held, so what is staged now belongs to runs that died or lost the lock.
    lake.store.delete_staged()
    counts = LandingCounts()
    # Oldest first: a later answer to the same bucket must be the one that stays.
    for name, files in pending_journals(lake.store, lake.workspace).items():
        journal = _read_readable(lake, files)
        if journal is not None:
            log.info("workspace %s: landing journal %s, which an interrupted run left behind", lake.workspace, name)
            counts += land(lake, journal)
    return counts


def current_coverage(lake: WorkspaceLake) -> CoverageState:
    """The coverage as it will be once the pending journals are landed. Writes nothing."""
    pending = pending_journals(lake.store, lake.workspace)
    state = coverage_table.read(lake.store, lake.workspace, lake.zone)
    # Journals are landed in order, so only the first of them can have been interrupted.
    state = drop_stale_coverage(lake.store, lake.workspace, state, next(iter(pending), ""))
    for files in pending.values():
        try:
            journal = read_journal(lake.store, files)
        except DamagedFile as damaged:
            log.warning("%s", damaged)
            continue
        if journal is not None:
            state = _with_journal(lake, state, journal)
    return state


def _stage(lake: WorkspaceLake, journal: Journal, log_path: str) -> tuple[LandingCounts, list[Replacement]]:
    """Stage every file that the landing replaces. They are returned in the order in which to publish them."""
    store, workspace, landing_id = lake.store, lake.workspace, journal.landing_id
    recorded = coverage_table.read(store, workspace, lake.zone)
    # A partition whose file was removed or replaced loses its coverage here. What this journal answers in it is covered
    # again below, since these rows are in the file that the merge makes.
    recorded = drop_stale_coverage(store, workspace, recorded, landing_id.name)
    counts, data, restated = LandingCounts(), [], []
    try:
        for partition, windows in partitions(workspace, journal):
            changes, replacement = merge_partition(store, partition, windows, journal)
            counts += LandingCounts(changes.added, sum(rows.num_rows for rows in changes.restated), changes.unchanged)
            data += [replacement] if replacement else []
            restated += [append_tables.restatement_rows(partition, rows, lake.zone) for rows in changes.restated]
        restatements = append_tables.stage_restatements(store, workspace, restated, landing_id.as_of)

        # The coverage lists the versions of the data files that are about to be published. It needs no new file where
        # the journal has no answers.
        written = {each.path: FileVersion(each.staged.version, landing_id.name) for each in data}
        before = replace(recorded, files={**recorded.files, **written})
        after = _with_journal(lake, before, journal)
        coverage = [] if after.spans is before.spans else coverage_table.stage(store, workspace, after, lake.zone)

        log_rows = Replacement(log_path, append_tables.stage_log(store, journal, lake.zone), NO_FILE)
    except BaseException:
        # Whatever the error was: on a full disk, staged files would occupy space until the next run.
        store.delete_staged()
        raise
    # Restatements first: once the data has the new values, a landing that is repeated finds nothing to restate.
    # Coverage after the data: it must not cover buckets whose rows are not in place. The log last: it marks the landing
    # as complete.
    return counts, [*restatements, *data, *coverage, log_rows]


def _with_journal(lake: WorkspaceLake, state: CoverageState, journal: Journal) -> CoverageState:
    """The coverage with a journal's answers. `spans` is the very same table where it has none."""
    as_of = journal.landing_id.as_of
    return replace(state, spans=with_answers(state.spans, journal.answered(), as_of, as_of - lake.refresh_after))


def _read_readable(lake: WorkspaceLake, files: list[str]) -> Journal | None:
    """Read a journal without its damaged entries, which are quarantined: their windows count as never answered."""
    remaining = list(files)
    # Each round ends the loop or removes one entry.
    while remaining:
        try:
            # A landing reads the points later, and a damaged entry would end it. So all of each entry is read here,
            # where a damaged one is quarantined.
            verify_journal(lake.store, remaining)
            return read_journal(lake.store, remaining)
        except DamagedFile as damaged:
            log.warning("%s was quarantined (%s): its windows are requested again", damaged.path, damaged.reason)
            quarantine(lake.store, lake.workspace, damaged.path)
            remaining.remove(damaged.path)
    return None


def _exists(store: Store, path: str) -> bool:
    opened = store.open(path)
    if opened is None:
        return False
    opened[0].close()
    return True


def quarantine(store: Store, workspace: str, path: str) -> str:
    """Move a file to the quarantine folder, under the path that it had. Returns its new path.

    A number is appended if a file of that path was quarantined before.
    """
    folder = paths.quarantine_folder(workspace)
    taken = store.list(folder)
    names = chain([f"{folder}/{path}"], (f"{folder}/{path}.{number}" for number in count(2)))
    to = next(name for name in names if name not in taken)
    store.move(path, to)
    return to
