"""Coverage as a table: one row a run of covered buckets, with its series and its oldest answer.

Tables are of RUNS, sorted by series and bucket, runs disjoint, none empty. There are a few runs a series, and thousands
of series: no work is done a row at a time but for what the plan reads (`as_coverage`).

The coverage table: read and written whole, and held against the data files that it speaks of.

Its footer names, for every data file of the workspace, the version (tag) and the landing that wrote it. A data file
that is gone, or not the one it knew, voids the coverage of its partition: those buckets are asked for again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.buckets import month_span
from collector.coverage import Coverage, CoveredSpan
from collector.lake import merge, paths
from collector.lake.merge import BUCKETS, dictionary_encoded, row_keys, series_ranks
from collector.lake.parquet import LakeParquetFile, stage_table
from collector.lake.partition import LANDING, REPLACED
from collector.lake.paths import Partition
from collector.lake.schema import COVERAGE, INSTANT, JOURNAL_WINDOWS_SCHEMA, SERIES
from collector.lake.store import NO_FILE, DamagedFile, Replacement, Version
from collector.model import Scope, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from collector.lake.store import Store


COVERED_SPANS = pa.schema(
    [
        *(JOURNAL_WINDOWS_SCHEMA.field(name) for name in SERIES),
        ("first", pa.int32()),
        ("stop", pa.int32()),
        ("answered_at", INSTANT),
    ]
)
"""`first` and `stop` are buckets, as in `Span`."""

NO_COVERAGE = COVERED_SPANS.empty_table()

_KEY = ("scope", "unit", "app_id", "segment_id")


def with_answers(runs: pa.Table, answers: pa.Table, as_of: datetime, stale: datetime) -> pa.Table:
    """Cover the answers' spans (SERIES, first, stop) with an answer of `as_of`, and join what need not be told apart.

    Neighbours join where their answers are equally old, or both are of `stale` or older: no later run tells two stale
    answers apart, so the runs of a series do not grow with its history. Series are named as the answers name them.

    All series lie on one line, one behind the other, each with room for every bucket; a run or an answer is an interval
    on it. From one end of an interval to the next one nothing changes: such a stretch is covered by an answer, by the
    run that began last, or by nothing.
    """
    if not answers.num_rows:
        return runs
    of_runs, of_answers = series_ranks([runs, answers], _KEY)
    ends = pa.concat_tables(
        [
            _ends(row_keys(of_runs, runs["first"]), runs=1, told=runs["answered_at"].combine_chunks()),
            _ends(row_keys(of_runs, runs["stop"]), runs=-1),
            _ends(row_keys(of_answers, answers["first"]), answers=1),
            _ends(row_keys(of_answers, answers["stop"]), answers=-1),
        ]
    ).sort_by("place")
    answered = pc.greater(pc.cumulative_sum(ends["answers"]), 0)
    covered = pc.or_(answered, pc.greater(pc.cumulative_sum(ends["runs"]), 0))
    told = pc.if_else(answered, pa.scalar(as_of, INSTANT), pc.fill_null_forward(ends["told"]))
    stretches = pa.table(
        {"first": ends["place"][:-1], "stop": ends["place"][1:], "answered_at": told[:-1], "covered": covered[:-1]}
    )
    stretches = stretches.filter(pc.and_(stretches["covered"], pc.less(stretches["first"], stretches["stop"])))
    joined = _joined(stretches, stale)
    named = pa.concat_tables([answers.select(SERIES), runs.select(SERIES)]).unify_dictionaries()
    first_named = pa.concat_arrays([of_answers, of_runs])
    series = named.take(pc.index_in(pc.shift_right(joined["first"], 32), value_set=first_named))
    return pa.table([*series.columns, *_buckets(joined), joined["answered_at"]], schema=COVERED_SPANS)


def without_partition(runs: pa.Table, scope: Scope, unit: Unit, span: Span) -> pa.Table:
    """Forget the span's buckets, in all series of a scope and unit."""
    of_table = pc.and_(pc.equal(runs["scope"], scope.value), pc.equal(runs["unit"], unit.value))
    within = pc.and_(pc.less(runs["first"], span.stop), pc.greater(runs["stop"], span.first))
    hit = pc.and_(of_table, within)
    cut = runs.filter(hit)
    before = _with(cut, "stop", pc.min_element_wise(cut["stop"], pa.scalar(span.first, pa.int32())))
    after = _with(cut, "first", pc.max_element_wise(cut["first"], pa.scalar(span.stop, pa.int32())))
    kept = pa.concat_tables([runs.filter(pc.invert(hit)), before, after])
    kept = kept.filter(pc.less(kept["first"], kept["stop"]))
    (rank,) = series_ranks([kept], _KEY)
    return kept.take(pc.sort_indices(row_keys(rank, kept["first"])))


def as_coverage(runs: pa.Table) -> Coverage:
    """The runs of each series, for the plan. Series that were answered alike share one tuple of runs."""
    columns = [_values(runs[name]) for name in (*_KEY, "first", "stop", "answered_at")]
    found: dict[SeriesKey, list[tuple[int, int, datetime]]] = {}
    for scope, unit, app_id, segment_id, *run in zip(*columns, strict=True):
        found.setdefault(SeriesKey(Scope(scope), Unit(unit), app_id, segment_id), []).append(tuple(run))
    shared = cache(lambda some: tuple(CoveredSpan(Span(first, stop), told) for first, stop, told in some))
    return {key: shared(tuple(some)) for key, some in found.items()}


def _ends(where: pa.Array, runs: int = 0, answers: int = 0, told: pa.Array | None = None) -> pa.Table:
    """Ends of intervals, and how each changes the number of runs and of answers that hold what follows."""
    count = len(where)
    return pa.table(
        {
            "place": where,
            "runs": pa.repeat(pa.scalar(runs, pa.int32()), count),
            "answers": pa.repeat(pa.scalar(answers, pa.int32()), count),
            "told": pa.nulls(count, INSTANT) if told is None else told,
        }
    )


def _joined(stretches: pa.Table, stale: datetime) -> pa.Table:
    """Neighbours that are alike as one: first, stop, answered_at."""
    told, oldest = stretches["answered_at"], pa.scalar(stale, INSTANT)
    age = pc.if_else(pc.greater(told, oldest), told, oldest)  # all that are stale are alike
    follows = pc.and_(pc.equal(stretches["first"][1:], stretches["stop"][:-1]), pc.equal(age[1:], age[:-1]))
    begins = pa.chunked_array([pa.array([0], pa.int32()), *pc.cast(pc.invert(follows), pa.int32()).chunks])
    numbered = stretches.append_column("number", pc.cumulative_sum(begins))
    grouped = numbered.group_by("number", use_threads=False).aggregate(
        [("first", "min"), ("stop", "max"), ("answered_at", "min")]
    )
    return grouped.select(["first_min", "stop_max", "answered_at_min"]).rename_columns(["first", "stop", "answered_at"])


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The column's values, equal ones as one object: thousands of series share a few texts and instants."""
    whole = dictionary_encoded(column)
    distinct = whole.dictionary.to_pylist()
    return [None if place is None else distinct[place] for place in whole.indices.to_pylist()]


def _buckets(joined: pa.Table) -> list[pa.ChunkedArray]:
    return [pc.cast(pc.bit_wise_and(joined[name], BUCKETS - 1), pa.int32()) for name in ("first", "stop")]


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


_FILES = "collector.files"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A version of a data file: its tag, and the landing that wrote it (the tag changes when a lake is copied)."""

    version: Version
    landing: str


@dataclass(frozen=True, slots=True)
class CoverageState:
    """The coverage as it stands in the lake.

    `runs`: a table as `lake/runs.py` has it. `files`: the data files' paths, and the versions it speaks of.
    """

    runs: pa.Table = field(default_factory=lambda: NO_COVERAGE)
    files: dict[str, FileVersion] = field(default_factory=dict)
    version: Version = NO_FILE


def read(store: Store, workspace: str, zone: ZoneInfo) -> CoverageState:
    """The coverage table; an empty one where it is lost or damaged, which costs requests, never truth."""
    entry = LakeParquetFile.open(store, paths.coverage(workspace))
    if entry is None:
        return CoverageState()
    with entry:
        try:
            return parse(entry, zone)
        except DamagedFile as damaged:
            log.warning("%s: what it told is asked for again", damaged)
            return CoverageState(version=entry.version)


def parse(entry: LakeParquetFile, zone: ZoneInfo) -> CoverageState:
    """What a coverage file says. Raises Damaged."""
    rows = entry.table(COVERAGE, SERIES)
    try:
        files = json.loads(entry.footer_metadata()[_FILES])
        known = {path: FileVersion(version["tag"], version["landing"]) for path, version in files.items()}
        return CoverageState(_runs(rows, zone), known, entry.version)
    except (KeyError, ValueError, TypeError) as error:
        raise entry.damaged(str(error)) from error


def drop_stale_coverage(store: Store, workspace: str, recorded: CoverageState, landing_id: str = "") -> CoverageState:
    """Void the coverage of partitions whose data files are not those it speaks of.

    landing_id: a landing that was cut short after it replaced some files; those are not doubted, where what it replaced
    was the version that is spoken of here. Else the answers to all that it did not ask for would be gone unnoticed.
    """
    files: dict[str, FileVersion] = {}
    doubted: list[Partition] = []
    for partition, version in data_files(store, workspace).items():
        known = recorded.files.get(partition.path)
        if known is None or known.version != version:
            written_by, replaced = _landings(store, partition.path)
            cut_short = (written_by, replaced) == (landing_id, known.landing if known else "")
            if not cut_short and (known is None or known.landing != written_by):
                doubted.append(partition)
            known = FileVersion(version, written_by)
        files[partition.path] = known
    gone = [Partition.of(path) for path in recorded.files if path not in files]
    return replace(recorded, runs=_void(recorded.runs, [*doubted, *filter(None, gone)]), files=files)


def data_files(store: Store, workspace: str) -> dict[Partition, Version]:
    """Every data file of the workspace and its tag."""
    listed = [store.list(paths.table_folder(scope, unit, workspace)) for scope in Scope for unit in Unit]
    return {
        partition: version
        for files in listed
        for path, version in files.items()
        if (partition := Partition.of(path)) is not None
    }


def stage(store: Store, workspace: str, recorded: CoverageState, zone: ZoneInfo) -> list[Replacement]:
    """Stage the coverage table, sorted by its keys, to replace the version that was read."""
    runs = recorded.runs
    columns = {name: runs[name] for name in (*SERIES, "answered_at")}
    columns["first_start"] = merge.bucket_starts(runs["unit"], runs["first"], zone)
    columns["last_end"] = merge.bucket_starts(runs["unit"], runs["stop"], zone)
    files = {path: {"tag": known.version, "landing": known.landing} for path, known in sorted(recorded.files.items())}
    table = pa.table({name: columns[name] for name in COVERAGE.names})
    sorted_by = ("scope", "unit", "app_id", "segment_id", "first_start")
    staged = stage_table(store, table, sorted_by, {_FILES: json.dumps(files)})
    return [Replacement(paths.coverage(workspace), staged, recorded.version)]


def _landings(store: Store, path: str) -> tuple[str, str]:
    """Which landing wrote a data file, and which the version that it replaced."""
    entry = LakeParquetFile.open(store, path)
    if entry is None:
        return "", ""
    with entry:
        footer_metadata = entry.footer_metadata()
        return footer_metadata.get(LANDING, ""), footer_metadata.get(REPLACED, "")


def _void(runs: pa.Table, partitions: list[Partition]) -> pa.Table:
    for partition in partitions:
        log.warning("%s is not the file that was written: its buckets are asked for again", partition.path)
        runs = without_partition(runs, partition.scope, partition.unit, month_span(partition.unit, partition.month))
    return runs


def _runs(rows: pa.Table, zone: ZoneInfo) -> pa.Table:
    """The runs of a file. Raises ValueError for what no coverage holds."""
    for name, kind in (("scope", Scope), ("unit", Unit)):
        for text in pc.unique(rows[name].cast(pa.string())).to_pylist():
            kind(text)
    first, stop = (merge.buckets_starting_at(rows["unit"], rows[name], zone) for name in ("first_start", "last_end"))
    return pa.table([*rows.select(SERIES).columns, first, stop, rows["answered_at"]], schema=COVERED_SPANS)
