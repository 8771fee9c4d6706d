"""Landing: a journal merged into restatements, data, coverage and log, in that order, and then dropped.

Everything is staged before anything is published, so a full disk leaves the lake as it was. A run that dies between two
steps is finished by the next one, which lands the same journal again: what is already there changes nothing, and each
restatement is told exactly once, since the journal fixes the values and a row that has them restates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.coverage import with_answer
from collector.lake import coverage_table, instants, journal, log_table, paths, restatement_table
from collector.lake.coverage_table import LANDING, Known, Recorded, series_key
from collector.lake.merge import merge
from collector.lake.parquet import ParquetInput, stage_table
from collector.lake.paths import Partition
from collector.lake.schema import ID_COLUMNS, INSTANT, SERIES, sessions
from collector.lake.store import ABSENT, Replacement
from collector.model import Scope, Series, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from collector.coverage import Runs
    from collector.lake.journal import Journal, Origin
    from collector.lake.merge import Merged
    from collector.lake.store import Store, Tag


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
    """The coverage with a journal's answers."""
    origin = content.origin
    stale = origin.as_of - ground.refresh_after
    coverage: dict[SeriesKey, Runs] = dict(recorded.coverage)
    names = dict(recorded.names)
    for row in _answers(content).select([*SERIES, "first", "stop"]).to_pylist():
        key = series_key(row)
        coverage[key] = with_answer(coverage.get(key, ()), Span(row["first"], row["stop"]), origin.as_of, stale)
        names[key] = Series(ground.workspace, key, row["app"], row["segment"])
    return replace(recorded, coverage=coverage, names=names)


def _stage(ground: Ground, content: Journal, log_path: str) -> tuple[Landed, list[Replacement]]:
    """Stage all that the landing replaces, in the order in which it is to be published."""
    store, workspace, origin = ground.store, ground.workspace, content.origin
    recorded = coverage_table.read(store, workspace, ground.zone)
    recorded = coverage_table.verified(store, workspace, recorded, origin.landing_id)
    landed, data, restated = Landed(), [], []
    try:
        for partition, incoming in _incoming(workspace, content):
            merged, replacement = _merge_one(ground, partition, incoming, origin)
            landed += Landed(merged.added, merged.restated.num_rows, merged.unchanged)
            data += [replacement] if replacement else []
            restated += [restatement_table.rows(partition, merged.restated, ground.zone)]
        written = {replacement.path: Known("", origin.landing_id) for replacement in data}  # their tags: once published
        recorded = grown(ground, replace(recorded, files={**recorded.files, **written}), content)
        told = restatement_table.stage(store, workspace, restated, origin.as_of)
        covered = coverage_table.stage(store, workspace, recorded, ground.zone) if _answers(content).num_rows else []
        logged = Replacement(log_path, log_table.stage(store, content, ground.zone), None)
    except BaseException:
        store.sweep()
        raise
    return landed, [*told, *data, *covered, logged]


def _incoming(workspace: str, content: Journal) -> Iterator[tuple[Partition, pa.Table]]:
    """The journal's points by partition, in the data tables' columns, with `bucket` for the date or hour."""
    answers = _answers(content)
    for scope in Scope:
        for unit in Unit:
            chosen = pc.and_(pc.equal(answers["scope"], scope.value), pc.equal(answers["unit"], unit.value))
            points = journal.points(answers.filter(chosen))
            if not points.num_rows:
                continue
            rows = _as_rows(points, scope, unit, content.origin)
            places, months = instants.months(unit, rows["bucket"])
            for place, month in enumerate(months):
                whole = len(months) == 1
                yield Partition(workspace, scope, unit, month), rows if whole else rows.filter(pc.equal(places, place))


def _merge_one(
    ground: Ground, partition: Partition, incoming: pa.Table, origin: Origin
) -> tuple[Merged, Replacement | None]:
    """Merge a partition, and stage it where something changed."""
    existing, tag = _existing(ground.store, partition, incoming.schema)
    ids = [name for name in ID_COLUMNS if name in incoming.column_names]
    merged = merge(existing, incoming, ids)
    if merged.rows is None:
        return merged, None
    rows = _with_instants(merged.rows, partition.unit)
    notes = {LANDING: origin.landing_id}
    staged = stage_table(ground.store, rows, (*ids, _when(partition.unit)), notes)
    return merged, Replacement(partition.path, staged, tag)


def _existing(store: Store, partition: Partition, schema: pa.Schema) -> tuple[pa.Table, Tag]:
    entry = ParquetInput.open(store, partition.path)
    if entry is None:
        return schema.empty_table(), ABSENT
    with entry:
        columns = sessions(partition.scope, partition.unit)
        texts = [field.name for field in columns if field.type == pa.string()]
        return _with_buckets(entry.table(columns, texts), partition.unit), entry.tag


def _as_rows(points: pa.Table, scope: Scope, unit: Unit, origin: Origin) -> pa.Table:
    def every(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), points.num_rows)

    columns = {name: points[name] for name in points.column_names}
    columns["revision"] = every(0, pa.int32())
    columns["collected_at"] = every(origin.as_of, INSTANT)
    columns["run_id"] = every(origin.run_id, pa.string()).dictionary_encode()
    names = ["bucket" if name == _when(unit) else name for name in sessions(scope, unit).names]
    return pa.table({name: columns[name] for name in names})


def _when(unit: Unit) -> str:
    return "date" if unit is Unit.DAY else "hour"


def _with_buckets(rows: pa.Table, unit: Unit) -> pa.Table:
    name = _when(unit)
    return rows.set_column(rows.column_names.index(name), "bucket", instants.buckets(unit, rows[name]))


def _with_instants(rows: pa.Table, unit: Unit) -> pa.Table:
    column = instants.hours(rows["bucket"]) if unit is Unit.HOUR else rows["bucket"].cast(pa.date32())
    return rows.set_column(rows.column_names.index("bucket"), _when(unit), column)


def _answers(content: Journal) -> pa.Table:
    return content.answers.filter(pc.equal(content.answers["status"], "ok"))


def _exists(store: Store, path: str) -> bool:
    opened = store.open(path)
    if opened is None:
        return False
    opened[0].close()
    return True
