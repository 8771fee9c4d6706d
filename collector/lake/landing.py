"""Landing: a journal merged into restatements, data, coverage and log, in that order, and then dropped.

Everything is staged before anything is published, so a full disk leaves the lake as it was. A run that dies between two
steps is finished by the next one, which lands the same journal again: what is already there changes nothing, and each
restatement is told exactly once, since the journal fixes the values and a row that has them restates nothing.

What a workspace's lake knows when a run begins: its coverage, and what a run that died has left in its journal.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collector.lake import append_tables, coverage_table, journal, paths
from collector.lake.coverage_table import CoverageState, FileVersion, with_answers
from collector.lake.partition import merge_partition, partitions
from collector.lake.repair import quarantine
from collector.lake.store import NO_FILE, DamagedFile, Replacement

if TYPE_CHECKING:
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from collector.lake.coverage_table import CoverageState
    from collector.lake.journal import Journal
    from collector.lake.store import Store


@dataclass(frozen=True, slots=True)
class WorkspaceLake:
    """One workspace's part of a lake. `refresh_after`: how old an answer is when it counts as stale."""

    store: Store
    workspace: str
    zone: ZoneInfo
    refresh_after: timedelta


@dataclass(frozen=True, slots=True)
class LandingCounts:
    """What a landing changed."""

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


def land(lake: WorkspaceLake, content: Journal) -> LandingCounts:
    """Land a journal. Raises LakeError, after which it can be landed again."""
    store, origin = lake.store, content.origin
    log_path = paths.log(lake.workspace, origin.run_date, origin.landing_id)
    landed = LandingCounts()
    if not _exists(store, log_path):  # else a run died between the log, the last step, and the drop
        landed, replacements = _stage(lake, content, log_path)
        for replacement in replacements:
            store.publish(replacement)
        landed += LandingCounts(files_written=len(replacements))
    journal.delete_journal(store, content.files)
    return landed


def with_journal(lake: WorkspaceLake, recorded: CoverageState, content: Journal) -> CoverageState:
    """The coverage with a journal's answers; the very same runs where there are none."""
    origin = content.origin
    runs = with_answers(recorded.runs, content.answered(), origin.as_of, origin.as_of - lake.refresh_after)
    return replace(recorded, runs=runs)


def _stage(lake: WorkspaceLake, content: Journal, log_path: str) -> tuple[LandingCounts, list[Replacement]]:
    """Stage all that the landing replaces, in the order in which it is to be published."""
    store, workspace, origin = lake.store, lake.workspace, content.origin
    recorded = coverage_table.read(store, workspace, lake.zone)
    recorded = coverage_table.drop_stale_coverage(store, workspace, recorded, origin.landing_id)
    landed, data, restated = LandingCounts(), [], []
    try:
        for partition, windows in partitions(workspace, content):
            changes, replacement = merge_partition(store, partition, windows, content)
            landed += LandingCounts(changes.added, sum(rows.num_rows for rows in changes.restated), changes.unchanged)
            data += [replacement] if replacement else []
            restated += [append_tables.restatement_rows(partition, rows, lake.zone) for rows in changes.restated]
        written = {each.path: FileVersion(each.staged.version, origin.landing_id) for each in data}
        before = replace(recorded, files={**recorded.files, **written})
        after = with_journal(lake, before, content)
        told = append_tables.stage_restatements(store, workspace, restated, origin.as_of)
        covered = [] if after.runs is before.runs else coverage_table.stage(store, workspace, after, lake.zone)
        logged = Replacement(log_path, append_tables.stage_log(store, content, lake.zone), NO_FILE)
    except BaseException:
        store.delete_staged()
        raise
    return landed, [*told, *data, *covered, logged]


def _exists(store: Store, path: str) -> bool:
    opened = store.open(path)
    if opened is None:
        return False
    opened[0].close()
    return True


log = logging.getLogger(__name__)


def recover(lake: WorkspaceLake) -> LandingCounts:
    """Land what runs that died have left, oldest first. Only the holder of the lock may."""
    lake.store.delete_staged()
    landed = LandingCounts()
    for landing_id, files in journal.pending_journals(lake.store, lake.workspace).items():
        content = _readable(lake, files)
        if content is not None:
            log.info("workspace %s: landing the journal of %s, which a run left", lake.workspace, landing_id)
            landed += land(lake, content)
    return landed


def current_coverage(lake: WorkspaceLake) -> CoverageState:
    """The coverage as the next landing will see it, journals that wait included. Reads only."""
    waiting = journal.pending_journals(lake.store, lake.workspace)
    recorded = coverage_table.read(lake.store, lake.workspace, lake.zone)
    recorded = coverage_table.drop_stale_coverage(lake.store, lake.workspace, recorded, next(iter(waiting), ""))
    for files in waiting.values():
        try:
            content = journal.read(lake.store, files)
        except DamagedFile as damaged:
            log.warning("%s", damaged)
            continue
        if content is not None:
            recorded = with_journal(lake, recorded, content)
    return recorded


def _readable(lake: WorkspaceLake, files: list[str]) -> Journal | None:
    """The journal without the entries that cannot be read, which are moved aside: their windows are asked for again."""
    remaining = list(files)
    while remaining:
        try:
            journal.verify_journal(lake.store, remaining)
            content = journal.read(lake.store, remaining)
        except DamagedFile as damaged:
            log.warning("%s was moved aside (%s): its windows are asked for again", damaged.path, damaged.reason)
            quarantine(lake.store, lake.workspace, damaged.path)
            remaining.remove(damaged.path)
        else:
            return content
    return None
