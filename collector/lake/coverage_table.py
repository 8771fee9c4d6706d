"""The coverage table: read and written whole, and held against the data files that it speaks of.

Its footer names, for every data file of the workspace, the version (tag) and the landing that wrote it. A data file
that is gone, or not the one it knew, voids the coverage of its partition: those buckets are asked for again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.calendar import month_span
from collector.lake import instants, paths
from collector.lake.errors import Damaged
from collector.lake.parquet import ParquetInput, stage_table
from collector.lake.partition import LANDING, REPLACED
from collector.lake.paths import Partition
from collector.lake.runs import NONE, RUNS, without
from collector.lake.schema import COVERAGE, SERIES
from collector.lake.store import ABSENT, Replacement, Tag
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from collector.lake.store import Store

_FILES = "collector.files"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """A version of a data file: its tag, and the landing that wrote it (the tag changes when a lake is copied)."""

    tag: Tag
    landing: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """The coverage as it stands in the lake.

    `runs`: a table as `lake/runs.py` has it. `files`: the data files' paths, and the versions it speaks of.
    """

    runs: pa.Table = field(default_factory=lambda: NONE)
    files: dict[str, Known] = field(default_factory=dict)
    tag: Tag = ABSENT


def read(store: Store, workspace: str, zone: ZoneInfo) -> Recorded:
    """The coverage table; an empty one where it is lost or damaged, which costs requests, never truth."""
    entry = ParquetInput.open(store, paths.coverage(workspace))
    if entry is None:
        return Recorded()
    with entry:
        try:
            return parse(entry, zone)
        except Damaged as damaged:
            log.warning("%s: what it told is asked for again", damaged)
            return Recorded(tag=entry.tag)


def parse(entry: ParquetInput, zone: ZoneInfo) -> Recorded:
    """What a coverage file says. Raises Damaged."""
    rows = entry.table(COVERAGE, SERIES)
    try:
        files = json.loads(entry.notes()[_FILES])
        known = {path: Known(version["tag"], version["landing"]) for path, version in files.items()}
        return Recorded(_runs(rows, zone), known, entry.tag)
    except (KeyError, ValueError, TypeError) as error:
        raise entry.damaged(str(error)) from error


def verified(store: Store, workspace: str, recorded: Recorded, landing_id: str = "") -> Recorded:
    """Void the coverage of partitions whose data files are not those it speaks of.

    landing_id: a landing that was cut short after it replaced some files; those are not doubted, where what it replaced
    was the version that is spoken of here. Else the answers to all that it did not ask for would be gone unnoticed.
    """
    files: dict[str, Known] = {}
    doubted: list[Partition] = []
    for partition, tag in data_files(store, workspace).items():
        known = recorded.files.get(partition.path)
        if known is None or known.tag != tag:
            written_by, replaced = _landings(store, partition.path)
            cut_short = (written_by, replaced) == (landing_id, known.landing if known else "")
            if not cut_short and (known is None or known.landing != written_by):
                doubted.append(partition)
            known = Known(tag, written_by)
        files[partition.path] = known
    gone = [Partition.of(path) for path in recorded.files if path not in files]
    return replace(recorded, runs=_void(recorded.runs, [*doubted, *filter(None, gone)]), files=files)


def data_files(store: Store, workspace: str) -> dict[Partition, Tag]:
    """Every data file of the workspace and its tag."""
    listed = [store.list(paths.table_folder(scope, unit, workspace)) for scope in Scope for unit in Unit]
    return {
        partition: tag
        for files in listed
        for path, tag in files.items()
        if (partition := Partition.of(path)) is not None
    }


def stage(store: Store, workspace: str, recorded: Recorded, zone: ZoneInfo) -> list[Replacement]:
    """Stage the coverage table, sorted by its keys, to replace the version that was read."""
    runs = recorded.runs
    columns = {name: runs[name] for name in (*SERIES, "answered_at")}
    columns["first_start"] = instants.starts(runs["unit"], runs["first"], zone)
    columns["last_end"] = instants.starts(runs["unit"], runs["stop"], zone)
    files = {path: {"tag": known.tag, "landing": known.landing} for path, known in sorted(recorded.files.items())}
    table = pa.table({name: columns[name] for name in COVERAGE.names})
    sorted_by = ("scope", "unit", "app_id", "segment_id", "first_start")
    staged = stage_table(store, table, sorted_by, {_FILES: json.dumps(files)})
    return [Replacement(paths.coverage(workspace), staged, recorded.tag)]


def _landings(store: Store, path: str) -> tuple[str, str]:
    """Which landing wrote a data file, and which the version that it replaced."""
    entry = ParquetInput.open(store, path)
    if entry is None:
        return "", ""
    with entry:
        notes = entry.notes()
        return notes.get(LANDING, ""), notes.get(REPLACED, "")


def _void(runs: pa.Table, partitions: list[Partition]) -> pa.Table:
    for partition in partitions:
        log.warning("%s is not the file that was written: its buckets are asked for again", partition.path)
        runs = without(runs, partition.scope, partition.unit, month_span(partition.unit, partition.month))
    return runs


def _runs(rows: pa.Table, zone: ZoneInfo) -> pa.Table:
    """The runs of a file. Raises ValueError for what no coverage holds."""
    for name, kind in (("scope", Scope), ("unit", Unit)):
        for text in pc.unique(rows[name].cast(pa.string())).to_pylist():
            kind(text)
    first, stop = (instants.starting_at(rows["unit"], rows[name], zone) for name in ("first_start", "last_end"))
    return pa.table([*rows.select(SERIES).columns, first, stop, rows["answered_at"]], schema=RUNS)
