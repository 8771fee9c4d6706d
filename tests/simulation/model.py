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

from collector.model import Scope, SeriesKey, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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
    """The run that wrote a journal file, `landing`.

    `settles`: the newest bucket of a unit that an answer of an instant settles.
    """

    run_id: str
    as_of: datetime
    started: datetime
    landing: str
    settles: Callable[[Unit, datetime], int]


@dataclass(slots=True)
class Model:
    """One workspace's part of the lake.

    `answered`: for each series and bucket, the instant of its newest answer, in microseconds since 1970.
    `void`: buckets whose data file was lost, or whose answer is not believed, and that were not answered since.
    `disbelieved`: what was dropped from `answered`, as far as a run that died may have left it in the coverage.
    `settled`: those that were answered when they were as old as the lookback; none of them is void.
    `restatements` and `log`: rows, each with its file's month, and the number of its landing (`landings`).

    Copies are made on writing: a partition that `changed` does not name is the same object as in an earlier copy.
    """

    zone: ZoneInfo
    rows: dict[Partition, Rows] = field(default_factory=dict)
    restatements: list[tuple[int, tuple[Any, ...]]] = field(default_factory=list)
    answered: dict[SeriesKey, dict[int, int]] = field(default_factory=dict)
    log: list[tuple[int, tuple[Any, ...]]] = field(default_factory=list)
    void: dict[SeriesKey, set[int]] = field(default_factory=dict)
    settled: dict[SeriesKey, set[int]] = field(default_factory=dict)
    landings: dict[str, int] = field(default_factory=dict)
    disbelieved: dict[SeriesKey, dict[int, int]] = field(default_factory=dict)
    changed: set[Partition] = field(default_factory=set)

    def copy(self) -> Model:
        """A copy of the present state."""
        self.changed.clear()
        answered, disbelieved = ({key: dict(of[key]) for key in of} for of in (self.answered, self.disbelieved))
        void, settled = ({key: set(of[key]) for key in of} for of in (self.void, self.settled))
        restatements, log = list(self.restatements), list(self.log)
        landings = dict(self.landings)
        return Model(self.zone, dict(self.rows), restatements, answered, log, void, settled, landings, disbelieved)

    def may_have_answered(self, key: SeriesKey, bucket: int) -> int:
        """The instant of the newest answer that coverage may have; 0 for none."""
        return self.answered.get(key, {}).get(bucket, self.disbelieved.get(key, {}).get(bucket, 0))

    def covered(self, key: SeriesKey) -> set[int]:
        """The buckets that must be in coverage."""
        return self.answered.get(key, {}).keys() - self.void.get(key, set())

    def row(self, key: SeriesKey, bucket: int) -> Row | None:
        """The row of a bucket."""
        place = (key.scope, key.unit, month(key.unit, bucket))
        return self.rows.get(place, {}).get((key.app_id or "", key.segment_id or "", bucket))

    def learn(self, entry: list[dict[str, Any]], run: Run) -> None:
        """Apply one journal file."""
        self.landings.setdefault(run.landing, len(self.landings))
        for window in entry:
            key = key_of(window)
            self._log(key, window, run)
            if window["status"] == "ok":
                self._cover(key, range(window["first"], window["stop"]), window["answered_date"], run)
                for bucket, sessions in zip(window["buckets"], window["values"], strict=True):
                    self._count(key, bucket, sessions, window, run)

    def lose(self, key: SeriesKey, buckets: Iterable[int]) -> None:
        """Void coverage: the buckets have to be answered again."""
        lost = set(buckets)
        self.void.setdefault(key, set()).update(lost)
        self.settled.get(key, set()).difference_update(lost)

    def disbelieve(self, until: datetime) -> bool:
        """Drop what a run with a wrong clock covered: buckets that end later, and answers that came later.

        Returns whether there was any.
        """
        any_of_it = False
        for key, answered in self.answered.items():
            gone = {bucket for bucket in answered if start(key.unit, bucket + 1, self.zone) > until}
            for bucket in gone:
                self.disbelieved.setdefault(key, {})[bucket] = answered.pop(bucket)
            late = {bucket for bucket, at in answered.items() if at > micros(until)}
            self.lose(key, gone | late)
            self.void[key] -= gone
            any_of_it = any_of_it or bool(gone or late)
        return any_of_it

    def _cover(self, key: SeriesKey, buckets: range, date: datetime | None, run: Run) -> None:
        """`date`: the answer's own. What a bucket was settled by stays, whatever answers it later."""
        earlier = min(run.as_of, date or run.as_of)
        at = earlier if run.as_of - earlier > timedelta(hours=1) else run.as_of
        self.answered.setdefault(key, {}).update(dict.fromkeys(buckets, micros(at)))
        self.void.get(key, set()).difference_update(buckets)
        newest = run.settles(key.unit, earlier)
        self.settled.setdefault(key, set()).update(bucket for bucket in buckets if bucket <= newest)

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
            place_and_row = (month_of(run.as_of), *restatement(key, bucket, old, new, self.zone))
            self.restatements.append((self.landings[run.landing], place_and_row))
        if place not in self.changed:
            self.changed.add(place)
            self.rows[place] = dict(self.rows.get(place, {}))
        self.rows[place][id_] = new

    def _log(self, key: SeriesKey, window: dict[str, Any], run: Run) -> None:
        first, stop = (micros(start(key.unit, window[name], self.zone)) for name in ("first", "stop"))
        points = len(window["buckets"])
        outcome = (window["reason"], window["status"], window["http_status"], window["attempts"], window["error"] or "")
        numbers = (points, window["stop"] - window["first"], window["quota_remaining"])
        row = (month_of(run.started), run.run_id, *series(key), first, stop, *outcome, *numbers)
        self.log.append((self.landings[run.landing], row))


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


def month_of(instant: datetime) -> str:
    """The month of an instant, UTC: its first day."""
    return f"{instant.astimezone(UTC):%Y-%m}-01"


def micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)
