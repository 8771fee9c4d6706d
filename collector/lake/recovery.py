"""What a workspace's lake knows when a run begins: its coverage, and what a run that died has left in its journal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from collector.lake import coverage_table, journal
from collector.lake.aside import move_aside
from collector.lake.errors import Damaged
from collector.lake.landing import Landed, grown, land

if TYPE_CHECKING:
    from collector.lake.coverage_table import Recorded
    from collector.lake.journal import Journal
    from collector.lake.landing import Ground

log = logging.getLogger(__name__)


def recover(ground: Ground) -> Landed:
    """Land what runs that died have left, oldest first. Only the holder of the lock may."""
    ground.store.sweep()
    landed = Landed()
    for landing_id, files in journal.waiting(ground.store, ground.workspace).items():
        content = _readable(ground, files)
        if content is not None:
            log.info("workspace %s: landing the journal of %s, which a run left", ground.workspace, landing_id)
            landed += land(ground, content)
    return landed


def known(ground: Ground) -> Recorded:
    """The coverage as the next landing will see it, journals that wait included. Reads only."""
    waiting = journal.waiting(ground.store, ground.workspace)
    recorded = coverage_table.read(ground.store, ground.workspace, ground.zone)
    recorded = coverage_table.verified(ground.store, ground.workspace, recorded, next(iter(waiting), ""))
    for files in waiting.values():
        try:
            content = journal.read(ground.store, files)
        except Damaged as damaged:
            log.warning("%s", damaged)
            continue
        if content is not None:
            recorded = grown(ground, recorded, content)
    return recorded


def _readable(ground: Ground, files: list[str]) -> Journal | None:
    """The journal without the entries that cannot be read, which are moved aside: their windows are asked for again."""
    remaining = list(files)
    while remaining:
        try:
            journal.verify(ground.store, remaining)
            content = journal.read(ground.store, remaining)
        except Damaged as damaged:
            log.warning("%s was moved aside (%s): its windows are asked for again", damaged.path, damaged.reason)
            move_aside(ground.store, ground.workspace, damaged.path)
            remaining.remove(damaged.path)
        else:
            return content
    return None
