"""What the lake must hold, computed from the journal, one plain row at a time.

In: each journal file when it is written. Out: rows by partition, restatements, coverage and log of one workspace. It
shares no code with merge, landing or coverage table: it has the rules of CONTRACT section 4 in their simplest form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from collector.model import Scope, SeriesKey, Span, Unit

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """A row of a data table, but for its key. `collected_at` in microseconds since 1970."""

    sessions: int
    revision: int
    collected_at: int
    run_id: str
    app: str
    segment: str


Key = tuple[str, str, int]
"""app_id, segment_id ("" for none), bucket."""

Partition = tuple[Scope, Unit, str]
"""A partition: table and month."""

Rows = dict[Key, Row]


@dataclass(frozen=True, slots=True)
class Run:
    """The run that wrote a journal file."""

    run_id: str
    as_of: datetime


@dataclass(slots=True)
class Model:
    """One workspace's part of the lake.

    `answered`: for each series and bucket, the instant of its newest answer, in microseconds since 1970.
    `void`: buckets of which coverage was lost, or the data file, and that were not answered since.

    Copies are made on writing: a partition that `changed` does not name is the same object as in an earlier copy.
    """

    zone: ZoneInfo
    rows: dict[Partition, Rows] = field(default_factory=dict)
    restatements: list[tuple[Any, ...]] = field(default_factory=list)
    answered: dict[SeriesKey, dict[int, int]] = field(default_factory=dict)
    log: list[tuple[Any, ...]] = field(default_factory=list)
    void: dict[SeriesKey, set[int]] = field(default_factory=dict)
    changed: set[Partition] = field(default_factory=set)

    def copy(self) -> Model:
        """A copy of the present state."""
        self.changed.clear()
        answered = {key: dict(buckets) for key, buckets in self.answered.items()}
        void = {key: set(buckets) for key, buckets in self.void.items()}
        return Model(self.zone, dict(self.rows), list(self.restatements), answered, list(self.log), void)

    def covered(self, key: SeriesKey) -> set[int]:
        """The buckets that must be in coverage."""
        return self.answered.get(key, {}).keys() - self.void.get(key, set())

    def covers(self, key: SeriesKey, bucket: int) -> bool:
        """Whether the bucket may be in coverage."""
        return bucket in self.answered.get(key, {}) and bucket not in self.void.get(key, ())

    def row(self, key: SeriesKey, bucket: int) -> Row | None:
        """The row of a bucket."""
        place = (key.scope, key.unit, month(key.unit, bucket))
        return self.rows.get(place, {}).get((key.app_id or "", key.segment_id or "", bucket))

    def learn(self, entry: list[dict[str, Any]], run: Run) -> None:
        """Apply one journal file."""
        for window in entry:
            key = key_of(window)
            self._log(key, window, run)
            if window["status"] == "ok":
                self._cover(key, Span(window["first"], window["stop"]), micros(run.as_of))
                for bucket, sessions in zip(window["buckets"], window["sessions"], strict=True):
                    self._count(key, bucket, sessions, window, run)

    def _cover(self, key: SeriesKey, span: Span, as_of: int) -> None:
        buckets = range(span.first, span.stop)
        self.answered.setdefault(key, {}).update(dict.fromkeys(buckets, as_of))
        self.void.get(key, set()).difference_update(buckets)

    def _count(self, key: SeriesKey, bucket: int, sessions: int, window: dict[str, Any], run: Run) -> None:
        """One bucket's count: new, restated, or nothing new."""
        place = (key.scope, key.unit, month(key.unit, bucket))
        id_ = (key.app_id or "", key.segment_id or "", bucket)
        old = self.rows.get(place, {}).get(id_)
        if old is not None and old.sessions == sessions:
            return
        revision = old.revision + 1 if old else 0
        new = Row(sessions, revision, micros(run.as_of), run.run_id, window["app"] or "", window["segment"] or "")
        if old is not None:
            self.restatements.append(restatement(key, bucket, old, new, self.zone))
        if place not in self.changed:
            self.changed.add(place)
            self.rows[place] = dict(self.rows.get(place, {}))
        self.rows[place][id_] = new

    def _log(self, key: SeriesKey, window: dict[str, Any], run: Run) -> None:
        first, stop = (micros(start(key.unit, window[name], self.zone)) for name in ("first", "stop"))
        points = len(window["buckets"])
        outcome = (window["reason"], window["status"], window["http_status"], window["attempts"], window["error"] or "")
        self.log.append((run.run_id, *series(key), first, stop, *outcome, points, window["stop"] - window["first"]))


def entry_of(content: pa.Buffer) -> list[dict[str, Any]]:
    """A journal file as one dict for each window. A complete answer has no list of buckets; it is filled in here."""
    rows: list[dict[str, Any]] = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False).to_pylist()
    for row in rows:
        row["buckets"] = list(range(row["first"], row["stop"])) if row["buckets"] is None else row["buckets"]
    return rows


def key_of(window: dict[str, Any]) -> SeriesKey:
    """The series of a journal's row."""
    return SeriesKey("sessions", Scope(window["scope"]), Unit(window["unit"]), window["app_id"], window["segment_id"])


def series(key: SeriesKey) -> tuple[str, str, str, str]:
    """A series as it is in tables, "" for ids that it does not have."""
    return key.scope.value, key.unit.value, key.app_id or "", key.segment_id or ""


def restatement(key: SeriesKey, bucket: int, old: Row, new: Row, zone: ZoneInfo) -> tuple[Any, ...]:
    """A row of the restatements table."""
    day = bucket if key.unit is Unit.DAY else None
    began = micros(start(key.unit, bucket, zone))
    counts = (old.sessions, new.sessions, new.revision, old.collected_at, new.collected_at)
    return (*series(key), began, day, *counts, new.run_id, new.app, new.segment)


@lru_cache(maxsize=65536)
def start(unit: Unit, bucket: int, zone: ZoneInfo) -> datetime:
    """The instant at which a bucket starts."""
    if unit is Unit.HOUR:
        return _EPOCH + timedelta(hours=bucket)
    return midnight(_EPOCH.date() + timedelta(days=bucket), zone)


@lru_cache(maxsize=65536)
def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, that is of the local date."""
    # Zones turn their clocks on a full quarter of an hour. A date can come twice, with another one between: where
    # clocks are turned back at midnight. It starts with its first whole stretch.
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=16)
    while instant.astimezone(zone).date() != day:
        instant += timedelta(minutes=15)
    return instant


@lru_cache(maxsize=65536)
def month(unit: Unit, bucket: int) -> str:
    """The month that a bucket's row is filed under: its first day."""
    day = _EPOCH + timedelta(days=bucket) if unit is Unit.DAY else _EPOCH + timedelta(hours=bucket)
    return f"{day:%Y-%m}-01"


def micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)
