"""CONTRACT section 4 as checks: one workspace's files against the model of what they must hold."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.model import Scope, SeriesKey, Unit
from tests.simulation.model import Model, Partition, Rows, micros, start
from tests.simulation.reading import COVERED, DATA, INTERNAL, LOGGED, RESTATED, Reader, Violation, partition_of

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from tests.simulation.memory_store import Disk

_HOUR = 3_600_000_000


class CoverageTable(NamedTuple):
    """Buckets of each series: those that are covered, those of them that are settled, and those that are void."""

    covered: dict[SeriesKey, set[int]]
    settled: dict[SeriesKey, set[int]]
    void: dict[SeriesKey, set[int]]


class LakeChecker:
    """Compares one workspace's files with the model: `check_landed` after a run that ended, else `check_interrupted`.

    A partition is compared only if its file or its model changed since the last comparison.
    """

    def __init__(self, disk: Disk, reader: Reader, workspace: str) -> None:
        self._disk, self._reader, self._workspace = disk, reader, workspace
        self._equal: dict[Partition, tuple[str, Rows]] = {}

    def paths(self, pattern: re.Pattern[str]) -> list[str]:
        """The workspace's files of one kind."""
        found = ((path, pattern.fullmatch(path)) for path in self._disk.files)
        return [path for path, match in found if match and match["workspace"] == self._workspace]

    def check_landed(self, model: Model, *, tidy: bool) -> None:
        """All is landed: the lake holds exactly what the model says.

        `tidy`: nothing is staged either, and the lock was released.
        """
        self._data_is(model)
        for what, pattern, read, rows in (
            ("restatements", RESTATED, self._reader.restatements, model.restatements),
            ("log", LOGGED, self._reader.log, model.log),
        ):
            found = [read(path) for path in self.paths(pattern)]
            _require_equal(what, list(chain(*found)), [row for _, row in rows])
            landings = {row: landing for landing, row in rows}
            for of_file in found:
                _require(_is_sorted([landings[row] for row in of_file]), f"{what}: not in the order of the landings")
        stays = "workspace.json" if tidy else ("workspace.json", "lock.json")
        left = [path for path in self.paths(INTERNAL) if not path.endswith(stays)]
        staged = [place for place in self._disk.staged if place[0] == self._workspace]
        _require(not left and not (tidy and staged), f"left behind: {left} {staged}")

    def check_interrupted(self, states: Sequence[Model]) -> None:
        """A run crashed or gave up between these states: each row is of one of them, and none is missing."""
        self._equal.clear()
        for path in self.paths(DATA):
            rows, place = self._reader.data(path), partition_of(path)
            versions = list({id(state.rows.get(place)): state.rows.get(place, {}) for state in states}.values())
            found = {row[:3]: row[3:] for row in rows}
            _require(len(found) == len(rows) and list(found) == sorted(found), f"{path}: keys twice or not sorted")
            known = versions[0].keys() <= found.keys() <= versions[-1].keys()
            _require(known, f"{path}: keys are missing, or are of no answer")
            if found in versions:
                continue
            for key, row in found.items():
                if all(version.get(key) != row for version in versions):
                    raise Violation(f"{path}: {key} is {row}")
        found_rows = Counter(row for path in self.paths(RESTATED) for row in self._reader.restatements(path))
        oldest, newest = (Counter(row for _, row in state.restatements) for state in (states[0], states[-1]))
        strange = found_rows - newest
        _require(not strange, f"restatements that never happened: {strange}")
        _require(oldest <= found_rows, "restatements are gone")

    def check_coverage(self, states: Sequence[Model], *, all_of_them: bool) -> None:
        """Coverage has only answered buckets, each once, and (`all_of_them`) each answered bucket."""
        last = states[-1]
        named: dict[SeriesKey, set[int]] = {}
        for key, span, answered_at, settled in self._claims(last.zone):
            taken = named.setdefault(key, set())
            known = all(any(state.may_have_answered(key, bucket) for state in states) for bucket in span)
            if not (known and taken.isdisjoint(span)):
                raise Violation(f"coverage has {key} {span} twice, or without an answer")
            _require(answered_at is not None or not settled, f"coverage has {key} {span} as void and settled")
            if answered_at is not None:
                self._check_age(states, key, span, answered_at)
            taken.update(span)
        for key, instants in last.answered.items() if all_of_them else ():
            lost = instants.keys() - named.get(key, set())
            _require(not lost, f"coverage has lost {key} {sorted(lost)[:5]}")

    def check_settled(self, model: Model) -> None:
        """Coverage has as settled what is, and nothing else. What the next run will void has to be left out."""
        found = self.coverage(model.zone)
        for key, covered in found.covered.items():
            lost = model.void.get(key, set())
            wrong = (found.settled.get(key, set()) ^ (model.settled.get(key, set()) & covered)) - lost
            _require(not wrong, f"coverage is wrong about whether these are settled: {key} {sorted(wrong)[:5]}")

    def _check_age(self, states: Sequence[Model], key: SeriesKey, span: range, answered_at: int) -> None:
        """Between two states, each bucket's answer may still be the older state's."""
        for bucket in span:
            if all(answered_at > state.may_have_answered(key, bucket) for state in states):
                raise Violation(f"coverage has {key} {bucket} as newer than its answer")

    def check_void(self, model: Model) -> None:
        """Void in the coverage are the buckets of a data file that was removed or replaced, and not answered since."""
        found = self.coverage(model.zone)
        for key, answered in model.answered.items():
            void = model.void.get(key, set())
            wrong = (found.void.get(key, set()) ^ void) | (found.covered.get(key, set()) ^ (answered.keys() - void))
            _require(not wrong, f"coverage is wrong about whether these are void: {key} {sorted(wrong)[:5]}")

    def coverage(self, zone: ZoneInfo) -> CoverageTable:
        """The buckets in the coverage table."""
        found = CoverageTable({}, {}, {})
        for key, span, answered_at, settled in self._claims(zone):
            kind = found.void if answered_at is None else found.covered
            kind.setdefault(key, set()).update(span)
            if settled:
                found.settled.setdefault(key, set()).update(span)
        return found

    def _claims(self, zone: ZoneInfo) -> Iterator[tuple[SeriesKey, range, int | None, bool]]:
        for path in self.paths(COVERED):
            for scope, unit, app_id, segment_id, *when, answered_at, settled in self._reader.coverage(path):
                key = SeriesKey("sessions", Scope(scope), Unit(unit), app_id or None, segment_id or None)
                yield key, _buckets(key.unit, zone, *when), answered_at, bool(settled)

    def _data_is(self, model: Model) -> None:
        present = {partition_of(path): path for path in self.paths(DATA)}
        for place, rows in model.rows.items():
            if not rows:
                continue
            _require(place in present, f"{place} is gone")
            state = (self._disk.version(present[place]), rows)
            last = self._equal.get(place)
            if last is not None and last[0] == state[0] and last[1] is rows:
                continue
            expected = [(*key, *rows[key]) for key in sorted(rows)]
            found = self._reader.data(present[place])
            _require(found == expected, f"{present[place]}: {_difference(found, expected)}")
            self._equal[place] = state
        strangers = [path for place, path in present.items() if not model.rows.get(place)]
        _require(not strangers, f"data of no answer: {strangers}")


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise Violation(text)


def _require_equal(what: str, found: Sequence[Any], expected: Sequence[Any]) -> None:
    if len(found) != len(expected) or Counter(found) != Counter(expected):
        raise Violation(f"{what}: {_difference(found, expected)}")


def _difference(found: Sequence[Any], expected: Sequence[Any]) -> str:
    more, less = Counter(found) - Counter(expected), Counter(expected) - Counter(found)
    return f"there are {list(more.items())[:3]} (of {len(more)}), and not {list(less.items())[:3]} (of {len(less)})"


def _is_sorted(numbers: list[int]) -> bool:
    return numbers == sorted(numbers)


def _buckets(unit: Unit, zone: ZoneInfo, first: int, end: int, first_date: int | None, last_date: int | None) -> range:
    """The buckets of a covered span: days are dates, beside which the instants are labels."""
    if first_date is None or last_date is None:
        _require(
            unit is Unit.HOUR and first_date is last_date is None, "coverage of hours has dates, or days have none"
        )
        buckets = range(first // _HOUR, end // _HOUR)
    else:
        _require(unit is Unit.DAY, "coverage of hours has dates")
        buckets = range(first_date, last_date + 1)
    _require(len(buckets) > 0, "coverage has a span without a bucket")
    labels = tuple(micros(start(unit, bucket, zone)) for bucket in (buckets.start, buckets.stop))
    _require(labels == (first, end), f"coverage has other instants than its buckets: {first}, {end}")
    return buckets
