"""The coverage table: which buckets of each series are answered, as one Arrow table for all series.

In: the table's file, the answers of a journal, the data files as they are now. Out: a `CoverageState`, its covered
spans as the plan reads them, and a staged file. A workspace has thousands of series with a few covered spans each, so
the arithmetic is done in bulk; only `as_coverage` goes row by row.

The file's footer lists every data file of the workspace: its version, the landing that wrote it, its size and rows.
Coverage of a partition whose data file is missing, or is not the one that was recorded, is voided: it stays in the
table without the time of an answer, so that its buckets stay wanted, and are requested until they have been answered.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.buckets import EPOCH, end_of_closed, month_span
from collector.coverage import Coverage, CoveredSpan
from collector.lake import paths
from collector.lake.journal import JOURNAL_WINDOWS_SCHEMA
from collector.lake.merge import (
    BUCKET_RANGE,
    bucket_dates,
    bucket_numbers,
    bucket_starts,
    dictionary_encoded,
    row_keys,
    series_ranks,
)
from collector.lake.parquet import LakeParquetFile, stage_table
from collector.lake.partition import LANDING, REPLACED, of_table
from collector.lake.paths import Partition
from collector.lake.store import NO_FILE, DamagedFile, Replacement, Version
from collector.lake.tables import COVERAGE, INSTANT, SERIES, SERIES_KEY, check_layout
from collector.model import Scope, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from zoneinfo import ZoneInfo

    from collector.lake.store import Store

log = logging.getLogger(__name__)

COVERED_SPANS = pa.schema(
    [
        *(JOURNAL_WINDOWS_SCHEMA.field(name) for name in SERIES),
        ("first", pa.int32()),
        ("stop", pa.int32()),
        ("answered_at", INSTANT),
        ("settled", pa.bool_()),
    ]
)
"""Covered spans in memory: one row each, sorted by series and bucket, disjoint within a series, none empty.

`first` and `stop` are bucket numbers, as in `Span`. `answered_at` is the oldest answer in the span, or null where the
coverage was voided. `settled`: whether each bucket was answered when it was as old as the lookback.
"""

NO_COVERAGE = COVERED_SPANS.empty_table()

_FILES, _ZONE = "collector.files", "collector.zone"
_MICROSECOND = 1_000_000
"""What a second has."""

_NO_TIME = timedelta(0)
TRUSTED_CLOCK = timedelta(hours=1)
"""By how much a clock may differ from the server's."""

_NIGHT = {Unit.DAY: 1, Unit.HOUR: 26}
"""By how many buckets a bucket may be younger than the lookback to be settled: nights are not exactly a day apart."""


@dataclass(frozen=True, slots=True)
class CoverageRules:
    """What the config and the clock say about coverage.

    `refresh_after`: the age from which an answer is stale. `settle` and `lookback`: as in the config. `believed_until`:
    coverage of buckets that end later, and answers that came later, were made with a wrong clock.
    """

    refresh_after: timedelta
    settle: timedelta
    lookback: Mapping[Unit, int]
    believed_until: datetime


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
    store: Store, workspace: str, state: CoverageState, interrupted: str = "", *, report: bool = True
) -> CoverageState:
    """Void the coverage of partitions whose data file is missing, or is not the one that was recorded.

    interrupted: the name of a landing that may have published data files and died before it published the coverage.
    report: whether a line is logged for each table and cause.
    """
    files: dict[str, FileRecord] = {}
    changed: list[Partition] = []
    for partition, version in data_files(store, workspace).items():
        recorded = state.files.get(partition.path)
        # A file's version changes when a lake is copied; its footer, size and rows do not. So these are read where the
        # version differs, and a file that has those of the recorded one is the recorded one. Size and rows are compared
        # because other programs that rewrite a file may keep its footer.
        if recorded is None or recorded.version != version:
            found, replaced = _read_record(store, partition.path, version)
            # The interrupted landing's own file is trusted as well, provided that it replaced the recorded version:
            # then it holds all rows of that version. Had it replaced another version or no file, rows that the coverage
            # describes, and that its journal has no answers for, would be gone unnoticed.
            expected = (interrupted, recorded.landing if recorded else "")
            by_interrupted = bool(interrupted) and (found.landing, replaced) == expected
            # A file without a record counts as changed: what the coverage says of its partition was true without that
            # file.
            if not by_interrupted and (recorded is None or replace(recorded, version=version) != found):
                changed.append(partition)
            recorded = found
        files[partition.path] = recorded
    # The other direction: files that are recorded and no longer there. A path that is not a partition's gives None.
    gone = (Partition.of(path) for path in state.files if path not in files)
    missing = [partition for partition in gone if partition is not None]
    if report and state.version != NO_FILE:
        _report(workspace, "were changed by another program", changed)
        _report(workspace, "are missing", missing)
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


def data_files(store: Store, workspace: str) -> dict[Partition, Version]:
    """Every data file of the workspace and its version."""
    folders = [paths.table_folder(metric.name, scope, unit, workspace) for metric, scope, unit in paths.data_tables()]
    return {
        partition: version
        for folder in folders
        for path, version in store.list(folder).items()
        if (partition := Partition.of(path)) is not None
    }


def without_disbelieved(spans: pa.Table, until: datetime, zone: ZoneInfo) -> pa.Table:
    """The covered spans without what a run with a wrong clock wrote.

    Buckets that end after `until` are cut off. Answers that came after it are voided: the buckets are wanted again.
    """
    too_late = pc.greater(spans["answered_at"], pa.scalar(until, INSTANT))
    ends = {unit.value: end_of_closed(unit, until, _NO_TIME, zone) for unit in Unit}
    end = pc.if_else(pc.equal(spans["unit"], Unit.DAY.value), ends["day"], ends["hour"])
    beyond = pc.greater(spans["stop"], end)
    if not (pc.any(too_late).as_py() or pc.any(beyond).as_py()):
        return spans
    spans = _with_column(spans, "stop", pc.cast(pc.min_element_wise(spans["stop"], end), pa.int32()))
    spans = _with_column(spans, "answered_at", pc.if_else(too_late, pa.scalar(None, INSTANT), spans["answered_at"]))
    settled = pc.and_(spans["settled"], pc.invert(pc.fill_null(too_late, False)))
    spans = _with_column(spans, "settled", settled)
    return spans.filter(pc.less(spans["first"], spans["stop"]))


def with_answers(spans: pa.Table, answers: pa.Table, as_of: datetime, rules: CoverageRules, zone: ZoneInfo) -> pa.Table:
    """Cover the answers' spans (SERIES, first, stop, answered_date), and join neighbours that need not be kept apart.

    Neighbours join where both are settled or neither is, and where their answers are equally old, or both stale: later
    runs treat all stale answers alike. So the spans of a series do not grow in number with its history. All series of
    an id have its newest name. Where there are no answers, the very table that was given is returned.
    """
    if not answers.num_rows:
        return spans

    # All series are on one line, one after the other (see `row_keys`); a span or an answer is an interval on it. Cut
    # the line wherever an interval starts or ends. Then a piece between two cuts is the same from end to end, and it is
    # enough to count, for each cut, the intervals that are open behind it.
    span_ranks, answer_ranks = series_ranks([spans, answers], SERIES_KEY)
    # Each interval gives two cuts: one opens it, one closes it. None is empty, so at most one span and one answer start
    # at a position.
    cuts = pa.concat_tables(
        [
            _cuts(row_keys(span_ranks, spans["first"]), spans=1, span_state=_states(spans)),
            _cuts(row_keys(span_ranks, spans["stop"]), spans=-1),
            *_cuts_of_answers(answers, answer_ranks, as_of, rules, zone),
        ]
    ).sort_by("position")
    # Several cuts may be at one position, in any order: only the last of them has a piece behind it that is not empty,
    # and behind that one all of them are counted.
    answered = pc.greater(pc.cumulative_sum(cuts["answers"]), 0)
    known = pc.greater(pc.cumulative_sum(cuts["spans"]), 0)

    # A piece has the state of the answer now merged or, outside of these, of the span that it is part of: spans are
    # disjoint, and so are answers, so that is the last one that started. Only cuts at which one starts have a state, so
    # filling forward finds it. What was settled stays so. The last cut ends the last interval: no piece is behind it.
    before = pc.if_else(known, pc.fill_null_forward(cuts["span_state"]), 0)
    after = pc.bit_wise_or(pc.fill_null_forward(cuts["answer_state"]), pc.bit_wise_and(before, 1))
    state = pc.if_else(answered, after, before)
    # A piece goes from each cut to the next one, with what was computed for its first cut.
    first, stop = cuts["position"][:-1], cuts["position"][1:]
    pieces = pa.table({"first": first, "stop": stop, "state": state[:-1]})
    exists = pc.and_(pc.or_(answered, known)[:-1], pc.less(first, stop))  # cuts at the same position: an empty piece

    # `index_in` finds the first row of a rank, so names of answers come before those of spans.
    ranks = pa.concat_arrays([answer_ranks, span_ranks])
    series = pa.concat_tables([answers.select(SERIES), spans.select(SERIES)]).unify_dictionaries()
    joined = _join_neighbours(pieces.filter(exists), as_of - rules.refresh_after)
    return _with_newest_names(_as_spans(joined, series, ranks), answers)


def void_partition(spans: pa.Table, partition: Partition, span: Span) -> pa.Table:
    """The covered spans with the buckets of `span` voided, for all series of the partition's table."""
    of_series = of_table(spans, partition.metric, partition.scope, partition.unit)
    overlaps = pc.and_(of_series, pc.and_(pc.less(spans["first"], span.stop), pc.greater(spans["stop"], span.first)))
    cut = spans.filter(overlaps)
    if not cut.num_rows:
        return spans
    # What a span that overlaps is cut into: the part before, the part after, and the part between, which is voided. Any
    # of them may be empty.
    first, stop = pa.scalar(span.first, pa.int32()), pa.scalar(span.stop, pa.int32())
    before = _with_column(cut, "stop", pc.min_element_wise(cut["stop"], first))
    after = _with_column(cut, "first", pc.max_element_wise(cut["first"], stop))
    between = _with_column(cut, "first", pc.max_element_wise(cut["first"], first))
    between = _with_column(between, "stop", pc.min_element_wise(cut["stop"], stop))
    between = _with_column(between, "answered_at", pa.nulls(cut.num_rows, INSTANT))
    between = _with_column(between, "settled", pa.repeat(pa.scalar(False), cut.num_rows))
    kept = pa.concat_tables([spans.filter(pc.invert(overlaps)), before, between, after])
    kept = kept.filter(pc.less(kept["first"], kept["stop"]))
    # The parts were appended at the end: sort again by series and bucket.
    (ranks,) = series_ranks([kept], SERIES_KEY)
    return kept.take(pc.sort_indices(row_keys(ranks, kept["first"])))


def as_coverage(spans: pa.Table) -> Coverage:
    """The covered spans of each series, for the plan. Series with equal spans share one tuple, by which it groups."""
    columns = [_values(spans[name]) for name in (*SERIES_KEY, "first", "stop", "answered_at", "settled")]
    found: dict[SeriesKey, list[tuple[int, int, datetime, bool]]] = {}
    for metric, scope, unit, app_id, segment_id, event, *span in zip(*columns, strict=True):
        key = SeriesKey(metric, Scope(scope), Unit(unit), app_id, segment_id, event)
        found.setdefault(key, []).append(tuple(span))
    # Equal rows give the same tuple, by its content: thousands of series were answered by the same runs.
    shared = cache(lambda rows: tuple(CoveredSpan(Span(first, stop), at, settled) for first, stop, at, settled in rows))
    return {key: shared(tuple(rows)) for key, rows in found.items()}


def _cuts(
    positions: pa.Array,
    spans: int = 0,
    answers: int = 0,
    span_state: pa.Array | None = None,
    answer_state: pa.Array | None = None,
) -> pa.Table:
    """Cuts at some positions, and by how much each changes the number of open spans and of open answers.

    A cut that opens one has its state, see `_states`.
    """
    count = len(positions)
    no_state = pa.nulls(count, pa.int64())
    return pa.table(
        {
            "position": positions,
            "spans": pa.repeat(pa.scalar(spans, pa.int32()), count),
            "answers": pa.repeat(pa.scalar(answers, pa.int32()), count),
            "span_state": no_state if span_state is None else span_state,
            "answer_state": no_state if answer_state is None else answer_state,
        }
    )


def _cuts_of_answers(
    answers: pa.Table, ranks: pa.Array, as_of: datetime, rules: CoverageRules, zone: ZoneInfo
) -> Iterable[pa.Table]:
    """The cuts of two intervals for each answer: the buckets that it settles, and the newer ones."""
    answered_at, settled_stop = _answer_times(answers, as_of, rules, zone)
    middle = pc.max_element_wise(answers["first"], pc.min_element_wise(answers["stop"], settled_stop))
    for first, stop, settled in ((answers["first"], middle, 1), (middle, answers["stop"], 0)):
        # Most answers are of one kind, and the interval of the other kind is empty.
        exists = pc.less(first, stop)
        state = pc.add(pc.multiply(answered_at.filter(exists), 2), settled).combine_chunks()
        of_kind = ranks.filter(exists.combine_chunks())
        yield _cuts(row_keys(of_kind, first.filter(exists)), answers=1, answer_state=state)
        yield _cuts(row_keys(of_kind, stop.filter(exists)), answers=-1)


def _answer_times(
    answers: pa.Table, as_of: datetime, rules: CoverageRules, zone: ZoneInfo
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """For each answer: when it counts as given, and one past the newest bucket that it settles.

    An answer settles a bucket when, by the earlier of the run's `as_of` and the answer's own `Date`, as many newer
    buckets were closed as the lookback has, less `_NIGHT`.
    """
    run = _microseconds(as_of)
    # Where an answer has no Date, the null is skipped.
    earlier = pc.min_element_wise(pc.cast(answers["answered_date"], pa.int64()), run)
    # A run whose clock is ahead must not leave answers that later runs take for newer than they are.
    ahead = pc.greater(pc.subtract(run, earlier), TRUSTED_CLOCK.total_seconds() * _MICROSECOND)
    answered_at = pc.if_else(ahead, earlier, run)

    # By minutes, rounded down, which is the safe side: a run has a few hundred of them at most. A text for each minute
    # and unit, since what is looked up is one column.
    minutes = pc.divide(earlier, 60 * _MICROSECOND)
    is_day = pc.equal(answers["unit"], Unit.DAY.value)
    keys = pc.add(pc.multiply(minutes, 2), pc.cast(is_day, pa.int64()))
    distinct = pc.unique(keys)
    stops = pa.array([_settled_stop(key, rules, zone) for key in distinct.to_pylist()], pa.int32())
    return answered_at, stops.take(pc.index_in(keys, value_set=distinct))


def _microseconds(instant: datetime) -> int:
    """The instant as Arrow's timestamps have it: microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def _settled_stop(key: int, rules: CoverageRules, zone: ZoneInfo) -> int:
    """One past the newest bucket that an answer settles. `key`: its minute since 1970 times two, plus one for days."""
    unit = Unit.DAY if key % 2 else Unit.HOUR
    closed = end_of_closed(unit, EPOCH + timedelta(minutes=key // 2), rules.settle, zone)
    lookback = rules.lookback[unit]
    return closed - max(0, lookback - _NIGHT[unit]) if lookback else closed


def _states(spans: pa.Table) -> pa.Array:
    """One int64 for each span: its `answered_at` in microseconds (0 where it is voided) times two, plus `settled`."""
    at = pc.fill_null(pc.cast(spans["answered_at"], pa.int64()), 0)
    return pc.add(pc.multiply(at, 2), pc.cast(spans["settled"], pa.int64())).combine_chunks()


def _join_neighbours(pieces: pa.Table, stale_at: datetime) -> pa.Table:
    """Pieces (first, stop, state; sorted, disjoint) with neighbours of the same age and kind joined to one."""
    stale = _microseconds(stale_at)
    at, settled = pc.shift_right(pieces["state"], 1), pc.bit_wise_and(pieces["state"], 1)
    # All stale answers have the same age, 1, and voided pieces have 0.
    age = pc.if_else(pc.greater(at, stale), at, pc.min_element_wise(at, 1))
    kind = pc.add(pc.multiply(age, 2), settled)
    # A piece goes on from the one before it where it starts at its end. Pieces of two series never do: the line has
    # room for every bucket between them. Number the pieces so that those that belong together have the same number.
    continues = pc.and_(pc.equal(pieces["first"][1:], pieces["stop"][:-1]), pc.equal(kind[1:], kind[:-1]))
    starts = pa.chunked_array([pa.array([0], pa.int32()), *pc.cast(pc.invert(continues), pa.int32()).chunks])
    numbered = pieces.append_column("number", pc.cumulative_sum(starts))
    # Without threads, groups come out in the order of their first piece, so the spans stay sorted. Within a group the
    # smallest state has the oldest answer.
    joined = numbered.group_by("number", use_threads=False).aggregate(
        [("first", "min"), ("stop", "max"), ("state", "min")]
    )
    return joined.select(["first_min", "stop_max", "state_min"]).rename_columns(pieces.column_names)


def _as_spans(pieces: pa.Table, series: pa.Table, ranks: pa.Array) -> pa.Table:
    """Pieces of the line as covered spans. `series` has rows with the columns SERIES, and `ranks` the rank of each row.

    A position is a rank times BUCKET_RANGE plus a bucket: the rank is its upper 32 bits, the bucket its lower 32.
    """
    # Both ends of a piece are in the same series: no interval reaches past its series' part of the line. Buckets are
    # not negative, so the lower 32 bits are the bucket itself.
    named = series.take(pc.index_in(pc.shift_right(pieces["first"], 32), value_set=ranks))
    buckets = [pc.cast(pc.bit_wise_and(pieces[name], BUCKET_RANGE - 1), pa.int32()) for name in ("first", "stop")]
    at, settled = pc.shift_right(pieces["state"], 1), pc.bit_wise_and(pieces["state"], 1)
    answered_at = pc.if_else(pc.equal(at, 0), pa.scalar(None, INSTANT), at.cast(INSTANT))
    return pa.table([*named.columns, *buckets, answered_at, settled.cast(pa.bool_())], schema=COVERED_SPANS)


def _with_newest_names(spans: pa.Table, answers: pa.Table) -> pa.Table:
    """The spans with the answers' name of each app and segment, whatever the series: names belong to ids."""
    for kind in ("app", "segment"):
        ids, names = (dictionary_encoded(answers[name]).cast(pa.string()) for name in (f"{kind}_id", kind))
        # A journal is of one run, whose config has one name for each id. A null id finds the null id's null name.
        place = pc.index_in(spans[f"{kind}_id"].cast(pa.string()), value_set=ids)
        newest = pc.if_else(pc.is_valid(place), names.take(place), spans[kind].cast(pa.string()))
        spans = _with_column(spans, kind, newest.combine_chunks().dictionary_encode())
    return spans


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The column's values, with equal ones as the same object: thousands of series share a few texts and instants."""
    encoded = dictionary_encoded(column)
    distinct = encoded.dictionary.to_pylist()
    return [None if index is None else distinct[index] for index in encoded.indices.to_pylist()]


def _with_column(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _read_record(store: Store, path: str, version: Version) -> tuple[FileRecord, str]:
    """A data file as it is now, and the landing that wrote the version which it replaced (empty if none)."""
    file = LakeParquetFile.open(store, path)
    if file is None:
        return FileRecord(version, "", 0, 0), ""
    with file:
        footer = file.footer_metadata()
        return FileRecord(version, footer.get(LANDING, ""), *file.size_and_rows()), footer.get(REPLACED, "")


def _report(workspace: str, cause: str, partitions: Iterable[Partition]) -> None:
    """One line for each table: thirty files that one hand deleted are one event."""
    tables = Counter(paths.table(each.metric, each.scope, each.unit) for each in partitions)
    for table, count in tables.items():
        log.warning(
            "workspace %s: %s of %s %s: the buckets in them are requested again",
            workspace, "1 file" if count == 1 else f"{count} files", table, cause,
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
