"""Land a journal: merge it into restatements, data, coverage and log, in that order, and then delete it.

In: a journal. Out: the lake with its answers. Everything is staged before anything is published, so a full disk leaves
the lake as it was. A landing that dies half-way is landed again by the next run, from the same journal, and each
restatement is recorded exactly once:

- The journal fixes the values. A row that already has its answer's value is not restated a second time, which is why
  restatements are published before the data.
- The footers of restatements and log name the landing that added rows last. A landing never adds rows twice.
- Data files name in their footers the landing that wrote them and the one that they replaced. So the next run
  recognizes the files of the interrupted landing, which the coverage does not list yet.
- The log comes last. Where it names the landing, only the journal is left to delete.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING

from collector.lake import append_tables, coverage_table, paths
from collector.lake.append_tables import append, last_landing
from collector.lake.coverage_table import FileRecord, TableKey, void_changed_files
from collector.lake.covered_spans import TRUSTED_CLOCK, CoverageRules, with_answers, without_disbelieved
from collector.lake.journal import delete_journal, pending_journals, read_journal, verify_journal
from collector.lake.partition import merge_partition, partitions, tables_of
from collector.lake.store import NO_FILE, DamagedFile
from collector.lake.tables import LOG, RESTATEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from collector.config.settings import Workspace
    from collector.lake.coverage_table import CoverageState
    from collector.lake.journal import Journal
    from collector.lake.store import Replacement, Store, Version

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkspaceLake:
    """One workspace's part of a lake, and the rules of its coverage. `wanted`: the tables that the config wants."""

    store: Store
    workspace: str
    zone: ZoneInfo
    rules: CoverageRules
    wanted: frozenset[TableKey] = frozenset()

    @classmethod
    def of(cls, store: Store, workspace: Workspace, now: datetime) -> WorkspaceLake:
        """The lake of a workspace of the config. `now`: the later of the run's `as_of` and the machine's clock."""
        rules = CoverageRules(workspace.refresh_after, workspace.settle, workspace.lookback, now + TRUSTED_CLOCK)
        wanted = frozenset((metric.name, scope, unit) for metric, scope, unit in workspace.wanted_tables())
        return cls(store, workspace.name, workspace.timezone, rules, wanted)


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


def land(lake: WorkspaceLake, journal: Journal, *, report: bool = False) -> LandingCounts:
    """Land a journal. After a LakeError the journal is still there, and can be landed again.

    `report`: whether data files that are missing or were changed are logged, which the plan does otherwise.
    """
    counts = _merge(lake, journal, report=report)
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
            # The log is the last file of a landing. Where it names the landing, everything else is published, and the
            # run that did so died before all of the journal was deleted.
            if last_landing(lake.store, _log_path(lake, journal)) == journal.landing_id.name:
                delete_journal(lake.store, journal.files)
            else:
                counts += land(lake, journal, report=True)
    return counts


def current_coverage(lake: WorkspaceLake) -> CoverageState:
    """The coverage as it will be once the pending journals are landed. Writes nothing."""
    pending = pending_journals(lake.store, lake.workspace)
    # Journals are landed in order, so only the first of them can have been interrupted.
    state = recorded_coverage(lake, next(iter(pending), ""), report=True)
    for files in pending.values():
        try:
            journal = read_journal(lake.store, files)
        except DamagedFile as damaged:
            log.warning("%s", damaged)
            continue
        if journal is not None:
            state = _with_journal(lake, state, journal)
    return state


def recorded_coverage(lake: WorkspaceLake, interrupted: str, *, report: bool) -> CoverageState:
    """The coverage as the table has it, as far as it can be believed and its data files are in place.

    A partition whose file was removed or replaced is voided here. `interrupted`: see `void_changed_files`.
    """
    state = coverage_table.read(lake.store, lake.workspace)
    state = void_changed_files(lake.store, lake.workspace, state, interrupted, wanted=lake.wanted, report=report)
    return replace(state, spans=without_disbelieved(state.spans, lake.rules.believed_until, lake.zone))


def _merge(lake: WorkspaceLake, journal: Journal, *, report: bool) -> LandingCounts:
    """Publish the journal's answers in all tables."""
    store, workspace, landing = lake.store, lake.workspace, journal.landing_id
    # What this journal answers in a voided partition is covered again below, since these rows are in the file that the
    # merge makes.
    # A journal that was left behind may have tables that the config wants no longer, and their files are listed too.
    answered = replace(lake, wanted=lake.wanted.union(tables_of(journal.windows)))
    recorded = recorded_coverage(answered, landing.name, report=report)
    counts, data, restated = LandingCounts(), [], []
    try:
        for partition, windows in partitions(workspace, journal):
            changes, replacement = merge_partition(store, partition, windows, journal)
            counts += LandingCounts(changes.added, sum(rows.num_rows for rows in changes.restated), changes.unchanged)
            data += [replacement] if replacement else []
            restated += [append_tables.restatement_rows(partition, rows, lake.zone) for rows in changes.restated]
        # The month of `as_of`, which comes from the journal: a landing that is repeated, even in another month, finds
        # the same file.
        path = paths.monthly_file(RESTATEMENTS.name, workspace, landing.as_of.date())
        restatements = append(store, RESTATEMENTS, path, restated, landing.name)
        log_rows = append(
            store, LOG, _log_path(lake, journal), [append_tables.log_rows(journal, lake.zone)], landing.name
        )
        after = _with_journal(lake, recorded, journal)
        # The coverage lists the versions of the data files that are about to be published. A bucket's store does not
        # know them before: then the coverage is staged behind the data.
        known = all(each.staged.version != NO_FILE for each in data)
        coverage = _stage_coverage(lake, recorded, after, _records(data, landing.name)) if known else None

        # Restatements first: once the data has the new values, a landing that is repeated finds nothing to restate.
        # Coverage after the data: it must not cover buckets whose rows are not in place. The log last: it marks the
        # landing as complete.
        before = [each for each in (restatements, *data) if each is not None]
        versions = [store.publish(each) for each in before]
        if not known:
            data_versions = versions[len(versions) - len(data) :]
            coverage = _stage_coverage(lake, recorded, after, _records(data, landing.name, data_versions))
        last = [each for each in (coverage, log_rows) if each is not None]
        for each in last:
            store.publish(each)
    except BaseException:
        # Whatever the error was: on a full disk, staged files would occupy space until the next run.
        store.delete_staged()
        raise
    return counts + LandingCounts(files_written=len(before) + len(last))


def _records(
    data: Sequence[Replacement], landing: str, versions: Sequence[Version] | None = None
) -> dict[str, FileRecord]:
    """The data files of a landing, as the coverage records them."""
    found = versions if versions is not None else [each.staged.version for each in data]
    return {
        each.path: FileRecord(version, landing, each.staged.size, each.rows)
        for each, version in zip(data, found, strict=True)
    }


def _stage_coverage(
    lake: WorkspaceLake, recorded: CoverageState, after: CoverageState, written: Mapping[str, FileRecord]
) -> Replacement | None:
    """Stage the coverage; None where the journal has no answers, and so changes nothing."""
    if after.spans is recorded.spans:
        return None
    return coverage_table.stage(
        lake.store, lake.workspace, replace(after, files={**recorded.files, **written}), lake.zone
    )


def _with_journal(lake: WorkspaceLake, state: CoverageState, journal: Journal) -> CoverageState:
    """The coverage with a journal's answers. `spans` is the very same table where it has none."""
    answers, as_of = journal.answered("answered_date"), journal.landing_id.as_of
    return replace(state, spans=with_answers(state.spans, answers, as_of, lake.rules, lake.zone))


def _log_path(lake: WorkspaceLake, journal: Journal) -> str:
    return paths.monthly_file(LOG.name, lake.workspace, journal.landing_id.started_at.date())


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
