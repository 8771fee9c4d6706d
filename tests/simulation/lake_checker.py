"""CONTRACT section 4 as checks: one workspace's files against the model of what they must hold."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from collector.model import Scope, SeriesKey, Unit
from tests.simulation.model import Model, Partition, Rows, micros, start
from tests.simulation.reading import COVERED, DATA, INTERNAL, LOGGED, RESTATED, Reader, Violation, partition_of

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from tests.simulation.memory_store import Disk

_HOUR = 3_600_000_000


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
        restatements = [row for path in self.paths(RESTATED) for row in self._reader.restatements(path)]
        _require_equal("restatements", restatements, model.restatements)
        _require_equal("log", [row for path in self.paths(LOGGED) for row in self._reader.log(path)], model.log)
        self._restatements_are_sorted()
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
        strange = found_rows - Counter(states[-1].restatements)
        _require(not strange, f"restatements that never happened: {strange}")
        _require(Counter(states[0].restatements) <= found_rows, "restatements are gone")

    def check_coverage(self, states: Sequence[Model], *, all_of_them: bool) -> None:
        """Coverage has only answered buckets, each once, and (`all_of_them`) each answered bucket."""
        last = states[-1]
        claimed: dict[SeriesKey, set[int]] = {}
        for key, span, answered_at in self._claims(last.zone):
            taken, answered = claimed.setdefault(key, set()), last.answered.get(key, {})
            if not (answered.keys() >= set(span) and taken.isdisjoint(span)):
                raise Violation(f"coverage has {key} {span} twice, or without an answer")
            if answered_at > min(map(answered.__getitem__, span)):
                self._check_age(states, key, span, answered_at)
            taken.update(span)
        for key, instants in last.answered.items() if all_of_them else ():
            lost = instants.keys() - claimed.get(key, set()) - last.void.get(key, set())
            _require(not lost, f"coverage has lost {key} {sorted(lost)[:5]}")

    def _check_age(self, states: Sequence[Model], key: SeriesKey, span: range, answered_at: int) -> None:
        """Between two states, each bucket's answer may still be the older state's."""
        for bucket in span:
            if all(answered_at > state.answered.get(key, {}).get(bucket, 0) for state in states):
                raise Violation(f"coverage has {key} {bucket} as newer than its answer")

    def check_no_void_coverage(self, model: Model) -> None:
        """Coverage has no bucket of a data file that was removed or replaced, unless it was answered since."""
        for key, buckets in self.covered_buckets(model.zone).items():
            false = buckets & model.void.get(key, set())
            _require(not false, f"coverage has {key} {sorted(false)[:5]}, whose data file was removed or replaced")

    def covered_buckets(self, zone: ZoneInfo) -> dict[SeriesKey, set[int]]:
        """The buckets in the coverage table."""
        found: dict[SeriesKey, set[int]] = {}
        for key, span, _ in self._claims(zone):
            found.setdefault(key, set()).update(span)
        return found

    def _claims(self, zone: ZoneInfo) -> Iterator[tuple[SeriesKey, range, int]]:
        for path in self.paths(COVERED):
            for scope, unit, app_id, segment_id, first, end, answered_at in self._reader.coverage(path):
                key = SeriesKey("sessions", Scope(scope), Unit(unit), app_id or None, segment_id or None)
                yield key, range(*(_bucket(key.unit, instant, zone) for instant in (first, end))), answered_at

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

    def _restatements_are_sorted(self) -> None:
        for path in self.paths(RESTATED):
            keys = [(*row[:5], row[10]) for row in self._reader.restatements(path)]
            _require(keys == sorted(keys), f"{path} is not sorted")


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise Violation(text)


def _require_equal(what: str, found: Sequence[Any], expected: Sequence[Any]) -> None:
    if len(found) != len(expected) or Counter(found) != Counter(expected):
        raise Violation(f"{what}: {_difference(found, expected)}")


def _difference(found: Sequence[Any], expected: Sequence[Any]) -> str:
    more, less = Counter(found) - Counter(expected), Counter(expected) - Counter(found)
    return f"there are {list(more.items())[:3]} (of {len(more)}), and not {list(less.items())[:3]} (of {len(less)})"


@lru_cache(maxsize=65536)
def _bucket(unit: Unit, instant: int, zone: ZoneInfo) -> int:
    if unit is Unit.HOUR:
        return instant // _HOUR
    day = datetime.fromtimestamp(instant // 1_000_000, UTC).astimezone(zone).date()
    bucket = day.toordinal() - 719_163
    if micros(start(unit, bucket, zone)) != instant:
        raise Violation(f"coverage names an instant that starts no day: {instant}")
    return bucket
