"""The coverage table: which buckets of each series are answered. One file a workspace.

In: the table's file, and the data files as they are now. Out: a `CoverageState`, and a staged file. What is done with
its covered spans is in `covered_spans.py`.

The file's footer lists every data file of the workspace: its version, the landing that wrote it, its size and rows.
Coverage of a partition whose data file is missing, or is not the one that was recorded, is voided: it stays in the
table without the time of an answer, so that its buckets stay wanted, and are requested until they have been answered.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.buckets import month_span
from collector.lake import paths
from collector.lake.covered_spans import COVERED_SPANS, NO_COVERAGE, void_partition
from collector.lake.merge import (
    bucket_dates,
    bucket_numbers,
    bucket_starts,
)
from collector.lake.parquet import LakeParquetFile, stage_table
from collector.lake.partition import LANDING, REPLACED, check_rows
from collector.lake.paths import Partition
from collector.lake.store import NO_FILE, DamagedFile, Replacement, Version
from collector.lake.tables import COVERAGE, SERIES, SERIES_KEY, check_layout
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from zoneinfo import ZoneInfo

    from collector.lake.store import Store

log = logging.getLogger(__name__)

TableKey = tuple[str, Scope, Unit]
"""A data table: its metric, scope and unit."""

_FILES, _ZONE = "collector.files", "collector.zone"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A data file as it was written: its version, the landing that wrote it, its size in bytes and its rows.

    A copy of a lake has other versions, and the rest the same.
    """

    version: Version
    landing: str
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class CoverageState:
    """The coverage of a workspace. `spans` has the schema COVERED_SPANS. `files`: the data files that it describes.

    `zone`: the name of the time zone that it was written with; empty where there is none. `version` is that of the
    coverage file itself.
    """

    spans: pa.Table = field(default_factory=lambda: NO_COVERAGE)
    files: dict[str, FileRecord] = field(default_factory=dict)
    zone: str = ""
    version: Version = NO_FILE


def read(store: Store, workspace: str) -> CoverageState:
    """Read the coverage. It is empty where the file is missing or damaged: that costs requests, and loses no rows."""
    file = LakeParquetFile.open(store, paths.coverage(workspace))
    if file is None:
        return CoverageState()
    with file:
        try:
            if file.columns()[:1] == ["scope"]:  # of the first layout, whose metadata was lost
                check_layout(workspace, 1)
            return parse(file)
        except DamagedFile as damaged:
            log.warning("%s; every bucket is requested again", damaged)
            # The version stays: the next landing replaces the damaged file, if it is still that one.
            return CoverageState(version=file.version)


def parse(file: LakeParquetFile) -> CoverageState:
    """The state that a coverage file describes. Raises DamagedFile."""
    rows = file.table(COVERAGE.schema, SERIES)
    try:
        footer = file.footer_metadata()
        files = {
            path: FileRecord(each["version"], each["landing"], each["size"], each["rows"])
            for path, each in json.loads(footer[_FILES]).items()
        }
        return CoverageState(_spans_of_rows(rows), files, footer[_ZONE], file.version)
    except (KeyError, ValueError, TypeError) as error:
        raise file.damaged(str(error)) from error


def stage(store: Store, workspace: str, state: CoverageState, zone: ZoneInfo) -> Replacement:
    """Stage the coverage file, sorted by its keys. It replaces the version that was read."""
    spans = state.spans
    columns = {name: spans[name] for name in (*SERIES, "answered_at", "settled")}
    columns["first_start"] = bucket_starts(spans["unit"], spans["first"], zone)
    columns["last_end"] = bucket_starts(spans["unit"], spans["stop"], zone)
    columns["first_date"] = bucket_dates(spans["unit"], spans["first"])
    columns["last_date"] = bucket_dates(spans["unit"], pc.subtract(spans["stop"], 1))
    table = pa.table({name: columns[name] for name in COVERAGE.schema.names})
    files = {
        path: {"version": each.version, "landing": each.landing, "size": each.size, "rows": each.rows}
        for path, each in sorted(state.files.items())
    }
    footer = {_FILES: json.dumps(files), _ZONE: zone.key}
    staged = stage_table(store, table, (*SERIES_KEY, "first_start"), footer)
    return Replacement(paths.coverage(workspace), staged, state.version, rows=table.num_rows)


def void_changed_files(
    store: Store,
    workspace: str,
    state: CoverageState,
    interrupted: str = "",
    *,
    wanted: frozenset[TableKey],
    report: bool = True,
) -> CoverageState:
    """Void the coverage of partitions whose data file is missing, or is not the one that was recorded.

    wanted: the data tables that the config wants. Only these are listed, and those that the coverage names: of another
        one, there is nothing to void.
    interrupted: the name of a landing that may have published data files and died before it published the coverage.
    report: whether a line is logged for each table and cause.
    """
    listed = data_files(store, workspace, wanted | _covered_tables(state))
    files, changed = _compare(store, state, listed, interrupted)
    # The other direction: files that are recorded and no longer there. A path that is not a partition's gives None.
    gone = (Partition.of(path) for path in state.files if path not in files)
    missing = [partition for partition in gone if partition is not None]
    if report and state.version != NO_FILE:
        _report(workspace, ("was changed", "were changed"), changed)
        _report(workspace, ("is missing", "are missing"), missing)
    elif report and files:
        log.warning(
            "workspace %s: the coverage table is missing: everything that the config wants is requested again; rows "
            "whose counts are the same do not change",
            workspace,
        )
    spans = state.spans
    for partition in (*changed, *missing):
        span = month_span(partition.unit, partition.month)
        spans = void_partition(spans, partition, span)
    return replace(state, spans=spans, files=files)


def _compare(
    store: Store, state: CoverageState, listed: Mapping[Partition, Version], interrupted: str
) -> tuple[dict[str, FileRecord], list[Partition]]:
    """The data files as they are, and the partitions of those that are not the recorded ones."""
    files: dict[str, FileRecord] = {}
    changed: list[Partition] = []
    for partition, version in listed.items():
        recorded = state.files.get(partition.path)
        # A file's version changes when a lake is copied; its footer, size and rows do not. So these are read where the
        # version differs, and a file that has those of the recorded one is the recorded one. Size and rows are compared
        # because other programs that rewrite a file may keep its footer.
        if recorded is None or recorded.version != version:
            found, replaced = read_record(store, partition.path, version)
            # The interrupted landing's own file is trusted as well, provided that it replaced the recorded version:
            # then it holds all rows of that version. Had it replaced another version or no file, rows that the coverage
            # describes, and that its journal has no answers for, would be gone unnoticed.
            expected = (interrupted, recorded.landing if recorded else "")
            by_interrupted = bool(interrupted) and (found.landing, replaced) == expected
            # A file without a record counts as changed: what the coverage says of its partition was true without that
            # file.
            if not by_interrupted and (recorded is None or replace(recorded, version=version) != found):
                _check_rows(store, partition)
                changed.append(partition)
            recorded = found
        files[partition.path] = recorded
    return files, changed


def _covered_tables(state: CoverageState) -> set[TableKey]:
    """The data tables of the coverage's spans and files."""
    recorded = (Partition.of(path) for path in state.files)
    tables = {(each.metric, each.scope, each.unit) for each in recorded if each is not None}
    names = ("metric", "scope", "unit")
    spans = state.spans.select(names).group_by(list(names)).aggregate([])
    return tables | {(row["metric"], Scope(row["scope"]), Unit(row["unit"])) for row in spans.to_pylist()}


def data_files(store: Store, workspace: str, tables: Iterable[TableKey]) -> dict[Partition, Version]:
    """Every data file of the workspace in these tables, and its version."""
    folders = [paths.table_folder(metric, scope, unit, workspace) for metric, scope, unit in sorted(tables)]
    return {
        partition: version
        for folder in folders
        for path, version in store.list(folder).items()
        if (partition := Partition.of(path)) is not None
    }


def read_record(store: Store, path: str, version: Version) -> tuple[FileRecord, str]:
    """A data file as it is now, and the landing that wrote the version which it replaced (empty if none)."""
    file = LakeParquetFile.open_footer(store, path)
    if file is None:
        return FileRecord(version, "", 0, 0), ""
    with file:
        footer = file.footer_metadata()
        return FileRecord(version, footer.get(LANDING, ""), *file.size_and_rows()), footer.get(REPLACED, "")


def _check_rows(store: Store, partition: Partition) -> None:
    """A file that something else wrote is merged with what is answered again only if its rows are the partition's."""
    file = LakeParquetFile.open(store, partition.path)
    if file is not None:
        with file:
            check_rows(file, partition)


def _report(workspace: str, causes: tuple[str, str], partitions: Iterable[Partition]) -> None:
    """One line for each table: thirty files that one hand deleted are one event."""
    tables = Counter(paths.table(each.metric, each.scope, each.unit) for each in partitions)
    for table, count in tables.items():
        log.warning(
            "workspace %s: %s of %s %s: the buckets in them are requested again",
            workspace, "1 file" if count == 1 else f"{count} files", table, causes[count > 1],
        )  # fmt: skip


def _spans_of_rows(rows: pa.Table) -> pa.Table:
    """The covered spans of the file's rows. Raises ValueError for values that no coverage has."""
    # A name that is not in the enumeration raises ValueError, and the file counts as damaged.
    for name, kind in (("scope", Scope), ("unit", Unit)):
        for text in pc.unique(rows[name].cast(pa.string())).to_pylist():
            kind(text)
    # Days are their dates: the instants beside them are labels, which change where a zone's rules are corrected.
    is_day = pc.equal(rows["unit"].cast(pa.string()), Unit.DAY.value)
    hours = [bucket_numbers(Unit.HOUR, rows[name]) for name in ("first_start", "last_end")]
    days = [bucket_numbers(Unit.DAY, rows[name]) for name in ("first_date", "last_date")]
    first = pc.if_else(is_day, days[0], hours[0])
    stop = pc.if_else(is_day, pc.add(days[1], pa.scalar(1, pa.int32())), hours[1])
    if first.null_count or stop.null_count or not pc.all(pc.less(first, stop)).as_py():
        raise ValueError("a span has no buckets")
    settled = pc.fill_null(rows["settled"], False)
    return pa.table([*rows.select(SERIES).columns, first, stop, rows["answered_at"], settled], schema=COVERED_SPANS)
