"""The coverage table: read and written whole, and held against the data files that it speaks of.

Its footer names, for every data file of the workspace, the version (tag) and the landing that wrote it. A data file
that is gone, or not the one it knew, voids the coverage of its partition: those buckets are asked for again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from sys import intern
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from collector.calendar import day_number, month_span, start_of, whole_hour_at_or_after
from collector.coverage import Coverage, Covered, Runs, without
from collector.lake import paths
from collector.lake.errors import Damaged
from collector.lake.parquet import ParquetInput, stage_table
from collector.lake.partition import LANDING, REPLACED
from collector.lake.paths import Partition
from collector.lake.schema import COVERAGE, IDS
from collector.lake.store import ABSENT, Replacement, Tag
from collector.model import Scope, Series, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
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

    `names`: the series as they were last called. `files`: the data files' paths, and the versions it speaks of.
    """

    coverage: Coverage = field(default_factory=dict)
    names: Mapping[SeriesKey, Series] = field(default_factory=dict)
    files: dict[str, Known] = field(default_factory=dict)
    tag: Tag = ABSENT


def read(store: Store, workspace: str, zone: ZoneInfo) -> Recorded:
    """The coverage table; an empty one where it is lost or damaged, which costs requests, never truth."""
    entry = ParquetInput.open(store, paths.coverage(workspace))
    if entry is None:
        return Recorded()
    with entry:
        try:
            return parse(entry, workspace, zone)
        except Damaged as damaged:
            log.warning("%s: what it told is asked for again", damaged)
            return Recorded(tag=entry.tag)


def parse(entry: ParquetInput, workspace: str, zone: ZoneInfo) -> Recorded:
    """What a coverage file says. Raises Damaged."""
    rows = entry.table(COVERAGE).to_pylist()
    try:
        files = json.loads(entry.notes()[_FILES])
        known = {path: Known(version["tag"], version["landing"]) for path, version in files.items()}
        series = [series_of(workspace, row) for row in rows]
        return Recorded(_coverage(series, rows, zone), {each.key: each for each in series}, known, entry.tag)
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
    return replace(recorded, coverage=_void(recorded.coverage, [*doubted, *filter(None, gone)]), files=files)


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
    rows = [
        _row(key, run, recorded.names.get(key), zone)
        for key in sorted(recorded.coverage, key=_order)
        for run in recorded.coverage[key]
    ]
    files = {path: {"tag": known.tag, "landing": known.landing} for path, known in sorted(recorded.files.items())}
    table = pa.Table.from_pylist(rows, schema=COVERAGE)
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


def _void(coverage: Coverage, partitions: list[Partition]) -> Coverage:
    for partition in partitions:
        log.warning("%s is not the file that was written: its buckets are asked for again", partition.path)
    kept: dict[SeriesKey, Runs] = {}
    for key, runs in coverage.items():
        for partition in partitions:
            if (partition.scope, partition.unit) == (key.scope, key.unit):
                runs = without(runs, month_span(key.unit, partition.month))
        if runs:
            kept[key] = runs
    return kept


def series_of(workspace: str, row: Mapping[str, Any]) -> Series:
    """The series of a row that has the columns SERIES. Raises ValueError for an unknown scope or unit."""
    # Thousands of series share a few texts, of which each row would otherwise bring its own copy.
    app, app_id, segment, segment_id = (None if row[name] is None else intern(row[name]) for name in IDS)
    return Series(workspace, SeriesKey(Scope(row["scope"]), Unit(row["unit"]), app_id, segment_id), app, segment)


def _coverage(series: list[Series], rows: list[dict[str, Any]], zone: ZoneInfo) -> Coverage:
    """The runs of each series; `series` and `rows` run in parallel."""
    found: dict[SeriesKey, list[Covered]] = {}
    for key, row in zip((each.key for each in series), rows, strict=True):
        span = Span(_bucket(key.unit, row["first_start"], zone), _bucket(key.unit, row["last_end"], zone))
        found.setdefault(key, []).append(Covered(span, row["answered_at"]))
    return {key: tuple(runs) for key, runs in found.items()}


def _bucket(unit: Unit, instant: datetime, zone: ZoneInfo) -> int:
    bucket = whole_hour_at_or_after(instant) if unit is Unit.HOUR else day_number(instant.astimezone(zone).date())
    if start_of(unit, bucket, zone) != instant:
        raise ValueError(f"{instant} starts no {unit} in {zone}")
    return bucket


def _row(key: SeriesKey, run: Covered, series: Series | None, zone: ZoneInfo) -> dict[str, object]:
    return {
        "scope": key.scope.value,
        "unit": key.unit.value,
        "app": series.app if series else None,
        "app_id": key.app_id,
        "segment": series.segment if series else None,
        "segment_id": key.segment_id,
        "first_start": start_of(key.unit, run.span.first, zone),
        "last_end": start_of(key.unit, run.span.stop, zone),
        "answered_at": run.answered_at,
    }


def _order(key: SeriesKey) -> tuple[str, str, bool, str, bool, str]:
    return (
        key.scope,
        key.unit,
        key.app_id is not None,
        key.app_id or "",
        key.segment_id is not None,
        key.segment_id or "",
    )
