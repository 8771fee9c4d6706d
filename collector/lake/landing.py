"""Landing: a journal merged into restatements, data, coverage and log, in that order, and then dropped.

Everything is staged before anything is published, so a full disk leaves the lake as it was. A run that dies between two
steps is finished by the next one, which lands the same journal again: what is already there changes nothing, and each
restatement is told exactly once, since the journal fixes the values and a row that has them restates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collector.lake import coverage_table, journal, log_table, paths, restatement_table
from collector.lake.coverage_table import Known, Recorded
from collector.lake.partition import merge_partition
from collector.lake.runs import with_answers
from collector.lake.slices import partitions
from collector.lake.store import ABSENT, Replacement

if TYPE_CHECKING:
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from collector.lake.journal import Journal
    from collector.lake.store import Store


@dataclass(frozen=True, slots=True)
class Ground:
    """One workspace's part of a lake. `refresh_after`: how old an answer is when it counts as stale."""

    store: Store
    workspace: str
    zone: ZoneInfo
    refresh_after: timedelta


@dataclass(frozen=True, slots=True)
class Landed:
    """What a landing changed."""

    rows_added: int = 0
    rows_restated: int = 0
    rows_unchanged: int = 0
    files_written: int = 0

    def __add__(self, other: Landed) -> Landed:
        return Landed(
            self.rows_added + other.rows_added,
            self.rows_restated + other.rows_restated,
            self.rows_unchanged + other.rows_unchanged,
            self.files_written + other.files_written,
        )


def land(ground: Ground, content: Journal) -> Landed:
    """Land a journal. Raises LakeError, after which it can be landed again."""
    store, origin = ground.store, content.origin
    log_path = paths.log(ground.workspace, origin.run_date, origin.landing_id)
    landed = Landed()
    if not _exists(store, log_path):  # else a run died between the log, the last step, and the drop
        landed, replacements = _stage(ground, content, log_path)
        for replacement in replacements:
            store.publish(replacement)
        landed += Landed(files_written=len(replacements))
    journal.drop(store, content.files)
    return landed


def grown(ground: Ground, recorded: Recorded, content: Journal) -> Recorded:
    """The coverage with a journal's answers; the very same runs where there are none."""
    origin = content.origin
    runs = with_answers(recorded.runs, content.answered(), origin.as_of, origin.as_of - ground.refresh_after)
    return replace(recorded, runs=runs)


def _stage(ground: Ground, content: Journal, log_path: str) -> tuple[Landed, list[Replacement]]:
    """Stage all that the landing replaces, in the order in which it is to be published."""
    store, workspace, origin = ground.store, ground.workspace, content.origin
    recorded = coverage_table.read(store, workspace, ground.zone)
    recorded = coverage_table.verified(store, workspace, recorded, origin.landing_id)
    landed, data, restated = Landed(), [], []
    try:
        for partition, windows in partitions(workspace, content):
            changes, replacement = merge_partition(store, partition, windows, content)
            landed += Landed(changes.added, sum(rows.num_rows for rows in changes.restated), changes.unchanged)
            data += [replacement] if replacement else []
            restated += [restatement_table.rows(partition, rows, ground.zone) for rows in changes.restated]
        written = {each.path: Known(each.staged.tag, origin.landing_id) for each in data}
        before = replace(recorded, files={**recorded.files, **written})
        after = grown(ground, before, content)
        told = restatement_table.stage(store, workspace, restated, origin.as_of)
        covered = [] if after.runs is before.runs else coverage_table.stage(store, workspace, after, ground.zone)
        logged = Replacement(log_path, log_table.stage(store, content, ground.zone), ABSENT)
    except BaseException:
        store.sweep()
        raise
    return landed, [*told, *data, *covered, logged]


def _exists(store: Store, path: str) -> bool:
    opened = store.open(path)
    if opened is None:
        return False
    opened[0].close()
    return True
