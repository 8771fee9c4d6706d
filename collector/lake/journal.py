"""The journal: answers and outcomes on disk within seconds, before they are landed.

A journal is a folder, one for each landing; its entries are Parquet files, one every few seconds, each complete or
absent. It fixes the values that will be landed: the same journal landed twice gives the same lake. In: outcomes. Out:
the windows of a journal, which are few and held in memory, and their points, which are many and read when needed.
The journal is not a table of the lake; only this module reads it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute as pc

from collector.lake import paths
from collector.lake.parquet import LakeParquetFile, stage_table
from collector.lake.store import NO_FILE, LakeBusy, Replacement
from collector.lake.tables import INSTANT, SERIES
from collector.model import Answered, Failed, Outcome, Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.lake.store import Store

_INT64 = pa.int64()

# One row for each window. Its points are two parallel lists: a window has up to 100 of them, and one row for each point
# would repeat all the columns of the window.
# `buckets` is null for a complete answer, one with a point for every bucket from `first` up to `stop`: nearly every
# answer is complete, and its buckets follow from the window.
JOURNAL_SCHEMA = pa.schema(
    [
        *((name, pa.dictionary(pa.int32(), pa.string())) for name in SERIES),
        ("first", pa.int32()),
        ("stop", pa.int32()),
        ("reason", pa.string()),
        ("status", pa.string()),
        ("http_status", pa.int32()),
        ("attempts", pa.int32()),
        ("error", pa.string()),
        ("requested_at", INSTANT),
        ("duration_ms", pa.int64()),
        ("points", pa.int32()),
        ("quota_remaining", pa.int64()),
        ("answered_date", INSTANT),
        ("buckets", pa.list_(pa.int32())),
        ("values", pa.list_(pa.int64())),  # 64 bits each: an integer or, by the metric's type, a float64
    ]
)

JOURNAL_WINDOWS_SCHEMA = pa.schema(list(JOURNAL_SCHEMA)[:-2])
"""The columns of JOURNAL_SCHEMA without the two lists."""

_LISTS = JOURNAL_SCHEMA.names[-2:]

_OK = pa.scalar("ok", pa.string())
_STATUS = {Answered: "ok", Failed: "failed", Skipped: "skipped"}

_WRITER_OPTIONS = {
    # Nothing selects rows of an entry: without these, a small one is written in two thirds of the time.
    "write_statistics": False,
    "write_page_index": False,
    "use_dictionary": [*SERIES, "reason", "status", "error"],
    # Differences of neighbouring points take half as long to write as the default encoding.
    "column_encoding": dict.fromkeys(("buckets.list.element", "values.list.element"), "DELTA_BINARY_PACKED"),
}


@dataclass(frozen=True, slots=True)
class LandingId:
    """Identifies a landing: the run, and the number of the landing within the run.

    `as_of` is written to the lake as collected_at and answered_at. `started_at`: when the run began by the real clock,
    UTC; its month is that of the log's rows.
    """

    run_id: str
    as_of: datetime
    started_at: datetime
    number: int = 1

    @property
    def name(self) -> str:
        """The name of the journal's folder, and in the footers of the files that it wrote. Never used twice."""
        return f"{self.run_id}-{self.number:04d}"

    def footer_metadata(self) -> dict[str, str]:
        """The id as key-value pairs for the footer of an entry."""
        return {
            "collector.run_id": self.run_id,
            "collector.as_of": self.as_of.isoformat(),
            "collector.started_at": self.started_at.isoformat(),
            "collector.number": str(self.number),
        }

    @classmethod
    def of(cls, footer_metadata: dict[str, str]) -> LandingId:
        """The id that `footer_metadata` wrote. Raises KeyError or ValueError for anything else."""
        return cls(
            footer_metadata["collector.run_id"],
            datetime.fromisoformat(footer_metadata["collector.as_of"]),
            datetime.fromisoformat(footer_metadata["collector.started_at"]),
            int(footer_metadata["collector.number"]),
        )


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal that was read: its landing, its windows, and the paths of its entries.

    `windows` has JOURNAL_WINDOWS_SCHEMA and two columns more, with which `read_points` finds a window's points: `entry`
    (index into `files`) and `row` (in that entry). `lists`: all points, where they are in memory; `entry` is 0 then.
    """

    landing_id: LandingId
    windows: pa.Table
    files: tuple[str, ...]
    lists: pa.Table | None = None

    def answered(self, *columns: str) -> pa.Table:
        """The answered windows: SERIES, first, stop, and the columns named."""
        return self.windows.select([*SERIES, "first", "stop", *columns]).filter(pc.equal(self.windows["status"], _OK))


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that was written. `table` has JOURNAL_SCHEMA, `size` is in bytes."""

    path: str
    size: int
    table: pa.Table


def write_entry(store: Store, workspace: str, landing_id: LandingId, number: int, outcomes: Sequence[Outcome]) -> Entry:
    """Add an entry to a journal. Once this returns, it survives a crash."""
    # Expecting NO_FILE, an entry never replaces another one. Entries are unsorted: a landing sorts the windows it
    # reads.
    path, table = paths.journal_entry(workspace, landing_id.name, number), _entry_table(outcomes)
    staged = stage_table(store, table, (), landing_id.footer_metadata(), _WRITER_OPTIONS)
    store.publish(Replacement(path, staged, NO_FILE))
    return Entry(path, staged.size, table)


def journal_of(landing_id: LandingId, entries: Sequence[Entry]) -> Journal:
    """The journal that these entries are, in order. Nothing is read."""
    # The entries as one: its rows are in place 0, and only the paths tell that they are several files.
    table = pa.concat_tables([entry.table for entry in entries]).unify_dictionaries().combine_chunks()
    windows = _with_places(table.select(JOURNAL_WINDOWS_SCHEMA.names), 0)
    return Journal(landing_id, windows, tuple(entry.path for entry in entries), table.select(_LISTS))


def pending_journals(store: Store, workspace: str) -> dict[str, list[str]]:
    """The journals that are not landed yet, oldest first: the landings' names, and the paths of the entries."""
    found: dict[str, list[str]] = {}
    # The name of a landing begins with the time at which its run began, and numbers have leading zeros: sorted by path,
    # journals and their entries are in the order in which they were written.
    for path in sorted(store.list(paths.journals(workspace))):
        found.setdefault(path.split("/")[-2], []).append(path)
    return found


def read_journal(store: Store, files: Sequence[str]) -> Journal | None:
    """Read a journal's windows; None where no entry is left. Raises DamagedFile where an entry cannot be read."""
    parts: list[pa.Table] = []
    landing_id: LandingId | None = None
    for number, path in enumerate(files):
        file = LakeParquetFile.open(store, path)
        if file is None:
            continue
        with file:
            windows = file.table(JOURNAL_SCHEMA, SERIES, JOURNAL_WINDOWS_SCHEMA.names).cast(JOURNAL_WINDOWS_SCHEMA)
            landing_id = _landing_id(file)
        # `number` counts all paths, so that it stays an index into `files` where an entry is missing.
        parts.append(_with_places(windows, number))
    if landing_id is None:
        return None
    return Journal(landing_id, pa.concat_tables(parts).unify_dictionaries(), tuple(files))


def read_points(
    store: Store, journal: Journal, windows: pa.Table, names: Sequence[str], kind: pa.DataType = _INT64
) -> pa.Table:
    """The points of some answered windows, in the windows' order: the columns `names` (of SERIES), bucket, value.

    `kind`: the type of the values of these windows, which are all of one table.
    Entries are read one after the other. Raises LakeError.
    """
    if journal.lists is None:
        lists = _read_lists(store, journal, windows)
    else:
        lists = journal.lists.take(windows["row"]).combine_chunks()

    # One row for each point: `parents` holds the index of the point's window, so taking it repeats a window's columns.
    # `first`, the column after `names`, is replaced by the bucket that is computed from it.
    values = lists["values"].combine_chunks()
    parents = pc.list_parent_indices(values)
    rows = windows.select([*names, "first"]).take(parents).unify_dictionaries().combine_chunks()
    buckets = _buckets(rows["first"], lists["buckets"].combine_chunks(), values.offsets, parents)
    rows = rows.set_column(len(names), "bucket", buckets)
    return rows.append_column("value", pc.list_flatten(values).view(kind))


def _read_lists(store: Store, journal: Journal, windows: pa.Table) -> pa.Table:
    """The lists of points of some windows, in the windows' order, from the entries."""
    # Entry by entry, and then back in the order of the windows: `indices` says where each belongs. Concatenated, it is
    # a permutation of the windows' positions, and sorting a permutation gives its inverse. An entry is read at most
    # once for these windows, and only its lists for them are kept.
    parts, indices = [], []
    for number in pc.unique(windows["entry"]).to_pylist():
        of_entry = pc.indices_nonzero(pc.equal(windows["entry"], number))
        parts.append(_lists_of(store, journal.files[number]).take(windows["row"].take(of_entry)))
        indices.append(of_entry)
    return pa.concat_tables(parts).take(pc.sort_indices(pa.concat_arrays(indices))).combine_chunks()


def _with_places(windows: pa.Table, number: int) -> pa.Table:
    """The windows of an entry with the columns that say where they are: `entry` and `row`."""
    count = windows.num_rows
    windows = windows.append_column("entry", pa.repeat(pa.scalar(number, pa.int32()), count))
    return windows.append_column("row", pa.array(range(count), pa.int32()))


def verify_journal(store: Store, files: Sequence[str]) -> None:
    """Read all of a journal, points included. Raises DamagedFile where an entry cannot be read."""
    for path in files:
        file = LakeParquetFile.open(store, path)
        if file is not None:
            with file:
                file.table(JOURNAL_SCHEMA, SERIES)
                _landing_id(file)


def delete_journal(store: Store, files: Sequence[str]) -> None:
    """Delete a journal that was landed."""
    for path in files:
        store.delete(path)


def _landing_id(file: LakeParquetFile) -> LandingId:
    try:
        return LandingId.of(file.footer_metadata())
    except (KeyError, ValueError) as error:
        raise file.damaged("it does not say which run wrote it") from error


def _lists_of(store: Store, path: str) -> pa.Table:
    file = LakeParquetFile.open(store, path)
    if file is None:
        raise LakeBusy(f"{path} was deleted before it was landed: another run has taken over this workspace")
    with file:
        return file.table(JOURNAL_SCHEMA, (), _LISTS)


def _buckets(firsts: pa.ChunkedArray, lists: pa.ListArray, offsets: pa.Array, parents: pa.Array) -> pa.Array:
    """The bucket of each point. `firsts` and `parents` have a value for each point, `lists` and `offsets` for a window.

    In a complete answer, point number n of all points has the bucket `first + n - offset`. In any other, `lists` names
    the buckets. Flattened, `lists` holds those buckets alone, in order: the values that replace_with_mask puts in.
    """
    numbers = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int32()), len(parents)), start=-1)
    counted = pc.add(firsts.combine_chunks(), pc.subtract(numbers, offsets.take(parents)))
    return pc.replace_with_mask(counted, pc.is_valid(lists).take(parents), pc.list_flatten(lists))


def _entry_table(outcomes: Sequence[Outcome]) -> pa.Table:
    windows = [outcome.window for outcome in outcomes]
    # One skipped outcome may represent all skipped windows of its series: then it has a span of its own.
    spans = [(isinstance(outcome, Skipped) and outcome.series_span) or outcome.window.span for outcome in outcomes]
    keys = [window.series.key for window in windows]
    buckets = [outcome.buckets if isinstance(outcome, Answered) else () for outcome in outcomes]
    values = [outcome.values if isinstance(outcome, Answered) else () for outcome in outcomes]
    # The decoder gives a complete answer a range as its buckets, and a list never equals a range. So no bucket is
    # compared one by one.
    complete = [some == range(span.first, span.stop) for some, span in zip(buckets, spans, strict=True)]
    incomplete = [() if full else some for some, full in zip(buckets, complete, strict=True)]
    answers = [outcome if isinstance(outcome, Answered) else None for outcome in outcomes]
    columns = {
        "metric": _texts([key.metric for key in keys]),
        "scope": _texts([key.scope for key in keys]),
        "unit": _texts([key.unit for key in keys]),
        "app": _texts([window.series.app for window in windows]),
        "app_id": _texts([key.app_id for key in keys]),
        "segment": _texts([window.series.segment for window in windows]),
        "segment_id": _texts([key.segment_id for key in keys]),
        "event": _texts([key.event for key in keys]),
        "first": [span.first for span in spans],
        "stop": [span.stop for span in spans],
        "reason": [window.reason.value for window in windows],
        "status": [_STATUS[type(outcome)] for outcome in outcomes],
        "http_status": [None if isinstance(outcome, Skipped) else outcome.http_status for outcome in outcomes],
        "attempts": [0 if isinstance(outcome, Skipped) else outcome.attempts for outcome in outcomes],
        "error": [None if isinstance(outcome, Answered) else outcome.error for outcome in outcomes],
        "requested_at": [None if isinstance(outcome, Skipped) else outcome.requested_at for outcome in outcomes],
        "duration_ms": [None if isinstance(outcome, Skipped) else outcome.duration_ms for outcome in outcomes],
        "points": [len(some) for some in buckets],
        "quota_remaining": [None if isinstance(outcome, Skipped) else outcome.quota_remaining for outcome in outcomes],
        "answered_date": [answer and answer.answered_date for answer in answers],
        "buckets": _lists("i", incomplete, complete),
        "values": _lists("q", [_bits(each) for each in values]),
    }
    return pa.table(columns, schema=JOURNAL_SCHEMA)


def _texts(values: Sequence[str | None]) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string()).dictionary_encode()


def _bits(values: Sequence[float]) -> Sequence[int]:
    """Floats as the integers of the same 64 bits, so that the journal has one column of values; integers as they are.

    The decoder gives floats in an array of the type code "d". A list of integers, as of tests, is taken as it is.
    """
    if isinstance(values, array) and values.typecode == "d":
        return array("q", values.tobytes())
    return cast("Sequence[int]", values)


def _lists(code: str, values: Sequence[Sequence[int]], nulls: Sequence[bool] | None = None) -> pa.Array:
    """A column of lists of integers: int32 for the `array` type code "i", int64 for "q".

    By way of one flat array of machine integers, because Arrow converts a list of lists one Python object at a time.
    """
    flat = array(code)
    for value in values:
        flat.extend(value)
    offsets = pa.array(accumulate(map(len, values), initial=0), pa.int32())
    kind = pa.int32() if code == "i" else pa.int64()
    numbers = pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(flat)])
    return pa.ListArray.from_arrays(offsets, numbers, mask=None if nulls is None else pa.array(nulls, pa.bool_()))
