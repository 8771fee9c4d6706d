"""The journal: answers and outcomes on disk within seconds, before they are landed.

One folder a landing, one Parquet file every few seconds, each whole or absent. It fixes the values, so landing the same
journal twice gives the same lake. One row a window, its points in two lists; a whole answer's buckets are left out.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from collector.lake import paths
from collector.lake.parquet import LakeParquetFile, stage_table
from collector.lake.schema import JOURNAL_SCHEMA, JOURNAL_WINDOWS_SCHEMA, SERIES
from collector.lake.store import NO_FILE, LakeBusy, Replacement
from collector.model import Answered, Failed, Outcome, Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.lake.store import Store

_AS_STEPS = {
    "use_dictionary": [*SERIES, "reason", "status", "error"],
    "column_encoding": dict.fromkeys(("buckets.list.element", "sessions.list.element"), "DELTA_BINARY_PACKED"),
}
"""Points are written as differences, which takes half the time that packing them takes. None but us reads a journal."""


@dataclass(frozen=True, slots=True)
class LandingId:
    """Which run a journal is of. `as_of` becomes collected_at and answered_at; `number` counts the run's landings."""

    run_id: str
    as_of: datetime
    run_date: str
    number: int = 1

    @property
    def landing_id(self) -> str:
        """Names the landing everywhere: journal folder, log file, data files' footers."""
        return f"{self.run_id}-{self.number:04d}"

    def footer_metadata(self) -> dict[str, str]:
        """For the footer of each entry."""
        return {
            "collector.run_id": self.run_id,
            "collector.as_of": self.as_of.isoformat(),
            "collector.run_date": self.run_date,
            "collector.number": str(self.number),
        }

    @classmethod
    def of(cls, footer_metadata: dict[str, str]) -> LandingId:
        """Read back what `notes` wrote. Raises KeyError or ValueError where it was not this."""
        return cls(
            footer_metadata["collector.run_id"],
            datetime.fromisoformat(footer_metadata["collector.as_of"]),
            footer_metadata["collector.run_date"],
            int(footer_metadata["collector.number"]),
        )


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal read back: its origin, its windows, and the files it lies in.

    `windows` has the columns of WINDOWS, and `entry` and `row`, which tell where each one's points are (`points`).
    """

    origin: LandingId
    windows: pa.Table
    files: tuple[str, ...]

    def answered(self, *others: str) -> pa.Table:
        """The windows that were answered: their series and spans, and the other columns that are named."""
        return self.windows.select([*SERIES, "first", "stop", *others]).filter(pc.equal(self.windows["status"], "ok"))


def write(store: Store, workspace: str, origin: LandingId, number: int, outcomes: Sequence[Outcome]) -> int:
    """Add one entry; it is safe once this returns. Returns its size in bytes."""
    staged = stage_table(store, _table(outcomes), (), origin.footer_metadata(), _AS_STEPS)
    store.publish(Replacement(paths.journal_entry(workspace, origin.landing_id, number), staged, NO_FILE))
    return staged.size


def pending_journals(store: Store, workspace: str) -> dict[str, list[str]]:
    """The journals that wait to be landed, oldest first: landing ids and their files."""
    found: dict[str, list[str]] = {}
    for path in sorted(store.list(paths.journals(workspace))):
        found.setdefault(path.split("/")[-2], []).append(path)
    return found


def read(store: Store, files: Sequence[str]) -> Journal | None:
    """Read a journal's windows; None where it holds nothing. Raises Damaged where an entry cannot be read."""
    parts: list[pa.Table] = []
    origin: LandingId | None = None
    for number, path in enumerate(files):
        entry = LakeParquetFile.open(store, path)
        if entry is None:
            continue
        with entry:
            windows = entry.table(JOURNAL_SCHEMA, SERIES, JOURNAL_WINDOWS_SCHEMA.names).cast(JOURNAL_WINDOWS_SCHEMA)
            origin = _origin(entry)
        count = windows.num_rows
        windows = windows.append_column("entry", pa.repeat(pa.scalar(number, pa.int32()), count))
        parts.append(windows.append_column("row", pa.array(range(count), pa.int32())))
    if origin is None:
        return None
    return Journal(origin, pa.concat_tables(parts).unify_dictionaries(), tuple(files))


def points(store: Store, content: Journal, windows: pa.Table, names: Sequence[str]) -> pa.Table:
    """The points of some of the journal's answered windows, in their order: `names` of SERIES, bucket, sessions.

    Reads the entries that hold them, one after another. Raises LakeError.
    """
    read, where = [], []
    for number in pc.unique(windows["entry"]).to_pylist():
        chosen = pc.indices_nonzero(pc.equal(windows["entry"], number))
        read.append(_lists_of(store, content.files[number]).take(windows["row"].take(chosen)))
        where.append(chosen)
    lists = pa.concat_tables(read).take(pc.sort_indices(pa.concat_arrays(where))).combine_chunks()
    sessions = lists["sessions"].combine_chunks()
    window = pc.list_parent_indices(sessions)
    rows = windows.select([*names, "first"]).take(window).unify_dictionaries().combine_chunks()
    buckets = _buckets(rows["first"], lists["buckets"].combine_chunks(), sessions.offsets, window)
    rows = rows.set_column(len(names), "bucket", buckets)
    return rows.append_column("sessions", pc.list_flatten(sessions))


def _lists_of(store: Store, path: str) -> pa.Table:
    entry = LakeParquetFile.open(store, path)
    if entry is None:
        raise LakeBusy(f"{path} is gone before it was landed: another run has taken it")
    with entry:
        return entry.table(JOURNAL_SCHEMA, (), ["buckets", "sessions"])


def _buckets(firsts: pa.ChunkedArray, told: pa.ListArray, offsets: pa.Array, window: pa.Array) -> pa.Array:
    """The bucket of each point: as told or, where the answer was whole, counted from its window's first."""
    place = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int32()), len(window)), start=-1)
    counted = pc.add(firsts.combine_chunks(), pc.subtract(place, offsets.take(window)))
    return pc.replace_with_mask(counted, pc.is_valid(told).take(window), pc.list_flatten(told))


def verify_journal(store: Store, files: Sequence[str]) -> None:
    """Read all of a journal that another process has written. Raises Damaged where an entry cannot be read."""
    for path in files:
        entry = LakeParquetFile.open(store, path)
        if entry is not None:
            with entry:
                entry.table(JOURNAL_SCHEMA, SERIES)
                _origin(entry)


def delete_journal(store: Store, files: Sequence[str]) -> None:
    """Remove a journal that has landed."""
    for path in files:
        store.delete(path)


def _origin(entry: LakeParquetFile) -> LandingId:
    try:
        return LandingId.of(entry.footer_metadata())
    except (KeyError, ValueError) as error:
        raise entry.damaged("it does not say which run it is of") from error


def _table(outcomes: Sequence[Outcome]) -> pa.Table:
    windows = [outcome.window for outcome in outcomes]
    spans = [(isinstance(outcome, Skipped) and outcome.whole) or outcome.window.span for outcome in outcomes]
    keys = [window.series.key for window in windows]
    buckets = [outcome.buckets if isinstance(outcome, Answered) else () for outcome in outcomes]
    sessions = [outcome.sessions if isinstance(outcome, Answered) else () for outcome in outcomes]
    whole = [some == range(span.first, span.stop) for some, span in zip(buckets, spans, strict=True)]
    columns = {
        "scope": _texts([key.scope for key in keys]),
        "unit": _texts([key.unit for key in keys]),
        "app": _texts([window.series.app for window in windows]),
        "app_id": _texts([key.app_id for key in keys]),
        "segment": _texts([window.series.segment for window in windows]),
        "segment_id": _texts([key.segment_id for key in keys]),
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
        "buckets": _lists(
            "i", [() if all_told else some for some, all_told in zip(buckets, whole, strict=True)], whole
        ),
        "sessions": _lists("q", sessions),
    }
    return pa.table(columns, schema=JOURNAL_SCHEMA)


_STATUS = {Answered: "ok", Failed: "failed", Skipped: "skipped"}


def _texts(values: Sequence[str | None]) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string()).dictionary_encode()


def _lists(code: str, values: Sequence[Sequence[int]], nulls: Sequence[bool] | None = None) -> pa.Array:
    """A column of lists, by way of one flat array of the machine's integers; `code`: which, as `array` calls them."""
    flat = array(code)
    for value in values:
        flat.extend(value)
    offsets = pa.array(accumulate(map(len, values), initial=0), pa.int32())
    kind = pa.int32() if code == "i" else pa.int64()
    numbers = pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(flat)])
    return pa.ListArray.from_arrays(offsets, numbers, mask=None if nulls is None else pa.array(nulls, pa.bool_()))
