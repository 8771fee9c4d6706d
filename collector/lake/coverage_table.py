"""The coverage table: read and written whole, and held against the data files that it speaks of.

Its footer names, for every data file of the workspace, the version (tag) and the landing that wrote it. A data file
that is gone, or not the one it knew, voids the coverage of its partition: those buckets are asked for again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from collector.calendar import day_number, month_span, start_of, whole_hour_at_or_after
from collector.coverage import Coverage, Covered, Runs, without
from collector.lake import paths
from collector.lake.errors import LakeError
from collector.lake.parquet import ParquetInput, stage_table
from collector.lake.paths import Partition
from collector.lake.schema import COVERAGE
from collector.lake.store import ABSENT, Replacement, Tag
from collector.model import Scope, Series, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from collector.lake.store import Store

_FILES = "collector.files"
LANDING = "collector.landing"
"""The footer note of a data file that names the landing which wrote it."""

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
            rows = entry.table(COVERAGE).to_pylist()
            files = json.loads(entry.notes()[_FILES])
            known = {path: Known(version["tag"], version["landing"]) for path, version in files.items()}
            return Recorded(_coverage(rows, zone), _names(workspace, rows), known, entry.tag)
        except (LakeError, KeyError, ValueError, TypeError) as error:
            log.warning("%s cannot be used (%s): what it told is asked for again", entry.path, error)
            return Recorded(tag=entry.tag)


def verified(store: Store, workspace: str, recorded: Recorded, landing_id: str = "") -> Recorded:
    """Void the coverage of partitions whose data files are not those it speaks of.

    landing_id: a landing that was cut short after it replaced some files; those it wrote are not doubted.
    """
    files: dict[str, Known] = {}
    doubted: list[Partition] = []
    for partition, tag in data_files(store, workspace).items():
        known = recorded.files.get(partition.path)
        if known is None or known.tag != tag:
            written_by = _landing(store, partition.path)
            if written_by != landing_id and (known is None or known.landing != written_by):
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


def _landing(store: Store, path: str) -> str:
    entry = ParquetInput.open(store, path)
    if entry is None:
        return ""
    with entry:
        return entry.notes().get(LANDING, "")


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


def series_key(row: Mapping[str, Any]) -> SeriesKey:
    """The key of a row that has the columns scope, unit, app_id and segment_id. Raises ValueError for other words."""
    return SeriesKey(Scope(row["scope"]), Unit(row["unit"]), row["app_id"], row["segment_id"])


def _coverage(rows: list[dict[str, Any]], zone: ZoneInfo) -> Coverage:
    found: dict[SeriesKey, list[Covered]] = {}
    for row in rows:
        key = series_key(row)
        span = Span(_bucket(key.unit, row["first_start"], zone), _bucket(key.unit, row["last_end"], zone))
        found.setdefault(key, []).append(Covered(span, row["answered_at"]))
    return {key: tuple(runs) for key, runs in found.items()}


def _names(workspace: str, rows: list[dict[str, Any]]) -> dict[SeriesKey, Series]:
    return {(key := series_key(row)): Series(workspace, key, row["app"], row["segment"]) for row in rows}


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
