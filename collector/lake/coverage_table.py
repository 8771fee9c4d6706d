"""The coverage table: which buckets of each series are answered, as one Arrow table for all series.

In: the table's file, the answers of a journal, the data files as they are now. Out: a `CoverageState`, its covered
spans as the plan reads them, and a staged file. A workspace has thousands of series with a few covered spans each, so
the arithmetic is done in bulk; only `as_coverage` goes row by row.

The file's footer lists the version of every data file of the workspace, and the landing that wrote it. Coverage of a
partition whose data file is missing, or is another version, is dropped: the next run requests those buckets again.
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
from collector.lake import paths
from collector.lake.journal import JOURNAL_WINDOWS_SCHEMA
from collector.lake.merge import (
    BUCKET_RANGE,
    bucket_starts,
    buckets_starting_at,
    dictionary_encoded,
    row_keys,
    series_ranks,
)
from collector.lake.parquet import LakeParquetFile, stage_table
from collector.lake.partition import LANDING, REPLACED
from collector.lake.paths import Partition
from collector.lake.store import NO_FILE, DamagedFile, Replacement, Version
from collector.lake.tables import COVERAGE, INSTANT, SERIES
from collector.model import Scope, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from collector.lake.store import Store

log = logging.getLogger(__name__)

COVERED_SPANS = pa.schema(
    [
        *(JOURNAL_WINDOWS_SCHEMA.field(name) for name in SERIES),
        ("first", pa.int32()),
        ("stop", pa.int32()),
        ("answered_at", INSTANT),
    ]
)
"""Covered spans in memory: one row each, sorted by series and bucket, disjoint within a series, none empty.

`first` and `stop` are bucket numbers, as in `Span`. `answered_at` is the oldest answer in the span.
"""

NO_COVERAGE = COVERED_SPANS.empty_table()

_KEY = ("scope", "unit", "app_id", "segment_id")
_FILES = "collector.files"


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A version of a data file and the name of the landing that wrote it. A copy of a lake has other versions."""

    version: Version
    landing: str


@dataclass(frozen=True, slots=True)
class CoverageState:
    """The coverage of a workspace. `spans` has the schema COVERED_SPANS. `files`: the data files that it describes.

    `version` is that of the coverage file itself.
    """

    spans: pa.Table = field(default_factory=lambda: NO_COVERAGE)
    files: dict[str, FileVersion] = field(default_factory=dict)
    version: Version = NO_FILE


def read(store: Store, workspace: str, zone: ZoneInfo) -> CoverageState:
    """Read the coverage. It is empty where the file is missing or damaged: that costs requests, and loses no rows."""
    file = LakeParquetFile.open(store, paths.coverage(workspace))
    if file is None:
        return CoverageState()
    with file:
        try:
            return parse(file, zone)
        except DamagedFile as damaged:
            log.warning("%s; every bucket is requested again", damaged)
            # The version stays: the next landing replaces the damaged file, if it is still that one.
            return CoverageState(version=file.version)


def parse(file: LakeParquetFile, zone: ZoneInfo) -> CoverageState:
    """The state that a coverage file describes. Raises DamagedFile."""
    rows = file.table(COVERAGE.schema, SERIES)
    try:
        files = json.loads(file.footer_metadata()[_FILES])
        versions = {path: FileVersion(each["tag"], each["landing"]) for path, each in files.items()}
        return CoverageState(_spans_of_rows(rows, zone), versions, file.version)
    except (KeyError, ValueError, TypeError) as error:
        raise file.damaged(str(error)) from error


def stage(store: Store, workspace: str, state: CoverageState, zone: ZoneInfo) -> list[Replacement]:
    """Stage the coverage file, sorted by its keys. It replaces the version that was read."""
    spans = state.spans
    columns = {name: spans[name] for name in (*SERIES, "answered_at")}
    columns["first_start"] = bucket_starts(spans["unit"], spans["first"], zone)
    columns["last_end"] = bucket_starts(spans["unit"], spans["stop"], zone)
    table = pa.table({name: columns[name] for name in COVERAGE.schema.names})
    files = {path: {"tag": each.version, "landing": each.landing} for path, each in sorted(state.files.items())}
    staged = stage_table(store, table, (*_KEY, "first_start"), {_FILES: json.dumps(files)})
    return [Replacement(paths.coverage(workspace), staged, state.version)]


def drop_stale_coverage(store: Store, workspace: str, state: CoverageState, interrupted: str = "") -> CoverageState:
    """Drop the coverage of partitions whose data file is missing, or is not the version that was recorded.

    interrupted: the name of a landing that may have published data files and died before it published the coverage.
    """
    files: dict[str, FileVersion] = {}
    changed: list[Partition] = []
    for partition, version in data_files(store, workspace).items():
        recorded = state.files.get(partition.path)
        # A file's version changes when a lake is copied, the landing in its footer does not. So the footer is read
        # where the version differs, and a file that the recorded landing wrote is the recorded one.
        if recorded is None or recorded.version != version:
            written_by, replaced = _landings_of(store, partition.path)
            # The interrupted landing's own file is trusted as well, provided that it replaced the recorded version:
            # then it holds all rows of that version. Had it replaced another version or no file, rows that the coverage
            # describes, and that its journal has no answers for, would be gone unnoticed.
            by_interrupted = (written_by, replaced) == (interrupted, recorded.landing if recorded else "")
            # A file without a record counts as changed: what the coverage says of its partition was true without that
            # file.
            if not by_interrupted and (recorded is None or recorded.landing != written_by):
                changed.append(partition)
            recorded = FileVersion(version, written_by)
        files[partition.path] = recorded
    # The other direction: files that are recorded and no longer there. A path that is not a partition's gives None.
    missing = [Partition.of(path) for path in state.files if path not in files]
    return replace(state, spans=_without_partitions(state.spans, [*changed, *filter(None, missing)]), files=files)


def data_files(store: Store, workspace: str) -> dict[Partition, Version]:
    """Every data file of the workspace and its version."""
    listed = [store.list(paths.table_folder(scope, unit, workspace)) for scope in Scope for unit in Unit]
    return {
        partition: version
        for files in listed
        for path, version in files.items()
        if (partition := Partition.of(path)) is not None
    }


def with_answers(spans: pa.Table, answers: pa.Table, as_of: datetime, stale_at: datetime) -> pa.Table:
    """Cover the answers' spans (SERIES, first, stop) as of `as_of`, and join neighbours that need not be kept apart.

    Neighbours join where their answers are equally old, or both are of `stale_at` or older: later runs treat all stale
    answers alike. So the spans of a series do not grow in number with its history. A series has the names of its newest
    answer. Where there are no answers, the very table that was given is returned.
    """
    if not answers.num_rows:
        return spans

    # All series are on one line, one after the other (see `row_keys`); a span or an answer is an interval on it. Cut
    # the line wherever an interval starts or ends. Then a piece between two cuts is the same from end to end, and it is
    # enough to count, for each cut, the intervals that are open behind it.
    span_ranks, answer_ranks = series_ranks([spans, answers], _KEY)
    # Each interval gives two cuts: one opens it, one closes it.
    cuts = pa.concat_tables(
        [
            _cuts(row_keys(span_ranks, spans["first"]), spans=1, answered_at=spans["answered_at"].combine_chunks()),
            _cuts(row_keys(span_ranks, spans["stop"]), spans=-1),
            _cuts(row_keys(answer_ranks, answers["first"]), answers=1),
            _cuts(row_keys(answer_ranks, answers["stop"]), answers=-1),
        ]
    ).sort_by("position")
    # Several cuts may be at one position, in any order: only the last of them has a piece behind it that is not empty,
    # and behind that one all of them are counted.
    answered = pc.greater(pc.cumulative_sum(cuts["answers"]), 0)
    covered = pc.or_(answered, pc.greater(pc.cumulative_sum(cuts["spans"]), 0))

    # A piece is as old as the answers now merged or, outside of these, as the span that it is part of: spans are
    # disjoint, so that is the last one that started. Only cuts at which a span starts have a time, so filling forward
    # finds it. The last cut ends the last interval: no piece is behind it.
    answered_at = pc.if_else(answered, pa.scalar(as_of, INSTANT), pc.fill_null_forward(cuts["answered_at"]))
    # A piece goes from each cut to the next one, with what was computed for its first cut.
    first, stop = cuts["position"][:-1], cuts["position"][1:]
    pieces = pa.table({"first": first, "stop": stop, "answered_at": answered_at[:-1]})
    pieces = pieces.filter(pc.and_(covered[:-1], pc.less(first, stop)))  # cuts at the same position: an empty piece

    # `index_in` finds the first row of a rank, so names of answers come before those of spans.
    ranks = pa.concat_arrays([answer_ranks, span_ranks])
    series = pa.concat_tables([answers.select(SERIES), spans.select(SERIES)]).unify_dictionaries()
    return _as_spans(_join_neighbours(pieces, stale_at), series, ranks)


def without_partition(spans: pa.Table, scope: Scope, unit: Unit, span: Span) -> pa.Table:
    """The covered spans without the buckets of `span`, for all series of a scope and unit."""
    of_table = pc.and_(pc.equal(spans["scope"], scope.value), pc.equal(spans["unit"], unit.value))
    overlaps = pc.and_(of_table, pc.and_(pc.less(spans["first"], span.stop), pc.greater(spans["stop"], span.first)))
    cut = spans.filter(overlaps)
    # What is left of a span that overlaps: the part before and the part after, either of which may be empty.
    before = _with_column(cut, "stop", pc.min_element_wise(cut["stop"], pa.scalar(span.first, pa.int32())))
    after = _with_column(cut, "first", pc.max_element_wise(cut["first"], pa.scalar(span.stop, pa.int32())))
    kept = pa.concat_tables([spans.filter(pc.invert(overlaps)), before, after])
    kept = kept.filter(pc.less(kept["first"], kept["stop"]))
    # `before` and `after` were appended at the end: sort again by series and bucket.
    (ranks,) = series_ranks([kept], _KEY)
    return kept.take(pc.sort_indices(row_keys(ranks, kept["first"])))


def as_coverage(spans: pa.Table) -> Coverage:
    """The covered spans of each series, for the plan. Series with equal spans share one tuple, by which it groups."""
    columns = [_values(spans[name]) for name in (*_KEY, "first", "stop", "answered_at")]
    found: dict[SeriesKey, list[tuple[int, int, datetime]]] = {}
    for scope, unit, app_id, segment_id, *span in zip(*columns, strict=True):
        found.setdefault(SeriesKey(Scope(scope), Unit(unit), app_id, segment_id), []).append(tuple(span))
    # Equal rows give the same tuple, by its content: thousands of series were answered by the same runs.
    shared = cache(lambda rows: tuple(CoveredSpan(Span(first, stop), at) for first, stop, at in rows))
    return {key: shared(tuple(rows)) for key, rows in found.items()}


def _cuts(positions: pa.Array, spans: int = 0, answers: int = 0, answered_at: pa.Array | None = None) -> pa.Table:
    """Cuts at some positions, and by how much each changes the number of open spans and of open answers."""
    count = len(positions)
    return pa.table(
        {
            "position": positions,
            "spans": pa.repeat(pa.scalar(spans, pa.int32()), count),
            "answers": pa.repeat(pa.scalar(answers, pa.int32()), count),
            "answered_at": pa.nulls(count, INSTANT) if answered_at is None else answered_at,
        }
    )


def _join_neighbours(pieces: pa.Table, stale_at: datetime) -> pa.Table:
    """Pieces (first, stop, answered_at; sorted, disjoint) with neighbours of the same age joined to one."""
    answered_at, oldest = pieces["answered_at"], pa.scalar(stale_at, INSTANT)
    age = pc.if_else(pc.greater(answered_at, oldest), answered_at, oldest)  # all stale answers have the same age
    # A piece goes on from the one before it where it starts at its end. Pieces of two series never do: the line has
    # room for every bucket between them. Number the pieces so that those that belong together have the same number.
    continues = pc.and_(pc.equal(pieces["first"][1:], pieces["stop"][:-1]), pc.equal(age[1:], age[:-1]))
    starts = pa.chunked_array([pa.array([0], pa.int32()), *pc.cast(pc.invert(continues), pa.int32()).chunks])
    numbered = pieces.append_column("number", pc.cumulative_sum(starts))
    # Without threads, groups come out in the order of their first piece, so the spans stay sorted.
    joined = numbered.group_by("number", use_threads=False).aggregate(
        [("first", "min"), ("stop", "max"), ("answered_at", "min")]
    )
    return joined.select(["first_min", "stop_max", "answered_at_min"]).rename_columns(pieces.column_names)


def _as_spans(pieces: pa.Table, series: pa.Table, ranks: pa.Array) -> pa.Table:
    """Pieces of the line as covered spans. `series` has rows with the columns SERIES, and `ranks` the rank of each row.

    A position is a rank times BUCKET_RANGE plus a bucket: the rank is its upper 32 bits, the bucket its lower 32.
    """
    # Both ends of a piece are in the same series: no interval reaches past its series' part of the line. Buckets are
    # not negative, so the lower 32 bits are the bucket itself.
    named = series.take(pc.index_in(pc.shift_right(pieces["first"], 32), value_set=ranks))
    buckets = [pc.cast(pc.bit_wise_and(pieces[name], BUCKET_RANGE - 1), pa.int32()) for name in ("first", "stop")]
    return pa.table([*named.columns, *buckets, pieces["answered_at"]], schema=COVERED_SPANS)


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The column's values, with equal ones as the same object: thousands of series share a few texts and instants."""
    encoded = dictionary_encoded(column)
    distinct = encoded.dictionary.to_pylist()
    return [None if index is None else distinct[index] for index in encoded.indices.to_pylist()]


def _with_column(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _landings_of(store: Store, path: str) -> tuple[str, str]:
    """The landings that wrote a data file, and the version that it replaced; empty where there is none."""
    file = LakeParquetFile.open(store, path)
    if file is None:
        return "", ""
    with file:
        footer_metadata = file.footer_metadata()
        return footer_metadata.get(LANDING, ""), footer_metadata.get(REPLACED, "")


def _without_partitions(spans: pa.Table, partitions: list[Partition]) -> pa.Table:
    for partition in partitions:
        log.warning("%s is missing or was changed: its buckets are requested again", partition.path)
        spans = without_partition(spans, partition.scope, partition.unit, month_span(partition.unit, partition.month))
    return spans


def _spans_of_rows(rows: pa.Table, zone: ZoneInfo) -> pa.Table:
    """The covered spans of the file's rows. Raises ValueError for values that no coverage has."""
    # A name that is not in the enumeration raises ValueError, and the file counts as damaged.
    for name, kind in (("scope", Scope), ("unit", Unit)):
        for text in pc.unique(rows[name].cast(pa.string())).to_pylist():
            kind(text)
    first, stop = (buckets_starting_at(rows["unit"], rows[name], zone) for name in ("first_start", "last_end"))
    return pa.table([*rows.select(SERIES).columns, first, stop, rows["answered_at"]], schema=COVERED_SPANS)
