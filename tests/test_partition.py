from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.buckets import day_number
from collector.lake import journal, paths
from collector.lake.journal import LandingId
from collector.lake.local import LocalStore
from collector.lake.partition import BatchSizes, PartitionChanges, merge_partition, partitions
from collector.lake.store import LakeBusy
from collector.model import Answered, Reason, Scope, Series, SeriesKey, Span, Unit, Window

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FIRST = day_number(NOW.date().replace(day=1))
SMALL = BatchSizes(slice=70, group=5)

# What one run answered: for each app the day of the month it begins at, and its counts.
RUN = st.dictionaries(
    st.integers(0, 30),
    st.tuples(st.integers(0, 20), st.lists(st.integers(0, 3), min_size=1, max_size=9)),
    min_size=1,
)


def answered(app: int, first: int, counts: list[int]) -> Answered:
    key = SeriesKey(Scope.APP, Unit.DAY, f"id-{app:02}", None)
    span = Span(FIRST + first, FIRST + first + len(counts))
    window = Window(Series("acme", key, f"app{app}"), span, Reason.NEW)
    return Answered(window, range(span.first, span.stop), counts, 200, 1, NOW, 1)


def merged(store: LocalStore, number: int, outcomes: list[Answered]) -> PartitionChanges:
    """Write a journal of two entries, and merge it into its one partition."""
    origin = LandingId(f"run{number}", NOW + timedelta(days=number), "2026-11-23")
    for entry, some in enumerate((outcomes[::2], outcomes[1::2])):
        if some:
            journal.write(store, "acme", origin, entry, some)
    content = journal.read(store, journal.pending_journals(store, "acme")[origin.landing_id])
    assert content is not None
    ((partition, windows),) = partitions("acme", content)
    changes, replacement = merge_partition(store, partition, windows, content, SMALL)
    if replacement is not None:
        store.publish(replacement)
    return changes


def update(model: dict[tuple[str, int], tuple[int, int]], outcomes: list[Answered]) -> tuple[int, int, int]:
    """Do the same to a plain dict of (sessions, revision); gives rows added, restated and unchanged."""
    added = restated = unchanged = 0
    for outcome in outcomes:
        for bucket, sessions in zip(outcome.buckets, outcome.sessions, strict=True):
            key = (str(outcome.window.series.key.app_id), bucket)
            old = model.get(key)
            if old is None:
                model[key], added = (sessions, 0), added + 1
            elif old[0] != sessions:
                model[key], restated = (sessions, old[1] + 1), restated + 1
            else:
                unchanged += 1
    return added, restated, unchanged


def read(folder: Path) -> list[tuple[str, int, int, int]]:
    (path,) = folder.glob("sessions_app_daily/workspace=acme/month=2026-11-01/data.parquet")
    file = pq.ParquetFile(path)
    assert all(file.metadata.row_group(place).num_rows == 5 for place in range(file.num_row_groups - 1))
    rows = file.read().to_pylist()
    return [(row["app_id"], day_number(row["date"]), row["sessions"], row["revision"]) for row in rows]


@given(st.lists(RUN, min_size=1, max_size=4))
@settings(max_examples=40)
def test_a_partition_merged_in_slices_holds_the_last_answer_of_each_key(
    tmp_path_factory: pytest.TempPathFactory, runs: list[dict[int, tuple[int, list[int]]]]
) -> None:
    """Wherever slices and row groups end and however answers overlap: each key once, its last count, sorted."""
    folder = tmp_path_factory.mktemp("lake")
    store = LocalStore(folder, paths.internal_folder("acme"))
    model: dict[tuple[str, int], tuple[int, int]] = {}
    for number, run in enumerate(runs):
        outcomes = [answered(app, first, counts) for app, (first, counts) in run.items()]
        changes = merged(store, number, outcomes)
        came = changes.added, sum(rows.num_rows for rows in changes.restated), changes.unchanged
        assert came == update(model, outcomes)
        assert read(folder) == sorted((*key, *value) for key, value in model.items())


def test_an_entry_that_is_gone_is_told_as_another_run_s(tmp_path: Path) -> None:
    """Its windows count as answered: a landing without their points would lose them."""
    store, origin = LocalStore(tmp_path, paths.internal_folder("acme")), LandingId("run", NOW, "2026-11-23")
    journal.write(store, "acme", origin, 0, [answered(0, 0, [1, 2])])
    content = journal.read(store, journal.pending_journals(store, "acme")[origin.landing_id])
    assert content is not None
    journal.delete_journal(store, content.files)
    ((partition, windows),) = partitions("acme", content)
    with pytest.raises(LakeBusy, match="another run has taken it"):
        merge_partition(store, partition, windows, content)
    assert not list(tmp_path.glob("sessions_*"))


def test_an_answer_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    """The same answers again, over more rows than are held at once, leave the file as it is and nothing staged."""
    store = LocalStore(tmp_path, paths.internal_folder("acme"))
    outcomes = [answered(app, 0, [app] * 20) for app in range(20)]
    merged(store, 0, outcomes)
    before = {path: path.read_bytes() for path in tmp_path.glob("sessions_*/**/*.parquet")}
    assert not merged(store, 1, outcomes).any
    assert {path: path.read_bytes() for path in tmp_path.glob("sessions_*/**/*.parquet")} == before
    assert list((tmp_path / paths.internal_folder("acme") / "staging").iterdir()) == []
