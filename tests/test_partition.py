from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.buckets import day_number
from collector.lake import paths
from collector.lake.journal import LandingId, delete_journal, pending_journals, read_journal, write_entry
from collector.lake.local import LocalStore
from collector.lake.partition import BatchSizes, PartitionChanges, merge_partition, partitions
from collector.lake.store import LakeBusy
from collector.model import Answered, Reason, Scope, Series, SeriesKey, Span, Unit, Window

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.journal import Journal

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FIRST = day_number(NOW.date().replace(day=1))
SMALL = BatchSizes(rows=70, group=5)

# The answers of one run: for each app, the day of the month at which they start, and the counts.
RUN = st.dictionaries(
    st.integers(0, 30),
    st.tuples(st.integers(0, 20), st.lists(st.integers(0, 3), min_size=1, max_size=9)),
    min_size=1,
)


def make_store(folder: Path) -> LocalStore:
    return LocalStore(folder, paths.internal_folder("acme"))


def answered(app: int, first: int, counts: list[int]) -> Answered:
    key = SeriesKey("sessions", Scope.APP, Unit.DAY, f"id-{app:02}", None)
    span = Span(FIRST + first, FIRST + first + len(counts))
    window = Window(Series("acme", key, f"app{app}"), span, Reason.NEW)
    return Answered(window, range(span.first, span.stop), counts, 200, 1, NOW, 1)


def make_journal(store: LocalStore, number: int, outcomes: list[Answered]) -> Journal:
    """Write a journal of up to two entries, and read it back."""
    landing_id = LandingId(f"run{number}", NOW + timedelta(days=number), NOW)
    for entry, some in enumerate((outcomes[::2], outcomes[1::2])):
        if some:
            write_entry(store, "acme", landing_id, entry, some)
    journal = read_journal(store, pending_journals(store, "acme")[landing_id.name])
    assert journal is not None
    return journal


def merge(store: LocalStore, number: int, outcomes: list[Answered]) -> PartitionChanges:
    """Write the outcomes to a journal, and merge it into its one partition."""
    journal = make_journal(store, number, outcomes)
    ((partition, windows),) = partitions("acme", journal)
    changes, replacement = merge_partition(store, partition, windows, journal, SMALL)
    if replacement is not None:
        store.publish(replacement)
    return changes


def update(expected: dict[tuple[str, int], tuple[float, int]], outcomes: list[Answered]) -> tuple[int, int, int]:
    """Merge into a plain dict of (sessions, revision). Returns the rows added, restated and unchanged."""
    added = restated = unchanged = 0
    for outcome in outcomes:
        for bucket, sessions in zip(outcome.buckets, outcome.values, strict=True):
            key = (str(outcome.window.series.key.app_id), bucket)
            old = expected.get(key)
            if old is None:
                expected[key], added = (sessions, 0), added + 1
            elif old[0] != sessions:
                expected[key], restated = (sessions, old[1] + 1), restated + 1
            else:
                unchanged += 1
    return added, restated, unchanged


def read(folder: Path) -> list[tuple[str, int, int, int]]:
    (path,) = folder.glob("sessions_app_daily/workspace=acme/month=2026-11-01/data.parquet")
    file = pq.ParquetFile(path)
    assert all(file.metadata.row_group(number).num_rows == 5 for number in range(file.num_row_groups - 1))
    rows = file.read().to_pylist()
    return [(row["app_id"], day_number(row["date"]), row["sessions"], row["revision"]) for row in rows]


@given(st.lists(RUN, min_size=1, max_size=4))
@settings(max_examples=25)
def test_a_partition_merged_in_batches_has_the_last_answer_of_each_key(
    tmp_path_factory: pytest.TempPathFactory, runs: list[dict[int, tuple[int, list[int]]]]
) -> None:
    """Wherever batches and row groups end, and however answers overlap: each key once, its last count, sorted."""
    folder = tmp_path_factory.mktemp("lake")
    store = make_store(folder)
    expected: dict[tuple[str, int], tuple[float, int]] = {}
    for number, run in enumerate(runs):
        outcomes = [answered(app, first, counts) for app, (first, counts) in run.items()]
        changes = merge(store, number, outcomes)
        counts = changes.added, sum(rows.num_rows for rows in changes.restated), changes.unchanged
        assert counts == update(expected, outcomes)
        assert read(folder) == sorted((*key, *value) for key, value in expected.items())


def test_a_deleted_entry_means_that_another_run_has_taken_over(tmp_path: Path) -> None:
    """Its windows count as answered: a landing without their points would lose them."""
    store = make_store(tmp_path)
    journal = make_journal(store, 0, [answered(0, 0, [1, 2])])
    delete_journal(store, journal.files)
    ((partition, windows),) = partitions("acme", journal)
    with pytest.raises(LakeBusy, match="another run"):
        merge_partition(store, partition, windows, journal)
    assert not list(tmp_path.glob("sessions_*"))


def test_answers_that_change_nothing_write_nothing(tmp_path: Path) -> None:
    """The same answers again, with more rows than are held at once, leave the file as it is and nothing staged."""
    store = make_store(tmp_path)
    outcomes = [answered(app, 0, [app] * 20) for app in range(20)]
    merge(store, 0, outcomes)
    before = {path: path.read_bytes() for path in tmp_path.glob("sessions_*/**/*.parquet")}
    assert not merge(store, 1, outcomes).any
    assert {path: path.read_bytes() for path in tmp_path.glob("sessions_*/**/*.parquet")} == before
    assert list((tmp_path / paths.internal_folder("acme") / "staging").iterdir()) == []
