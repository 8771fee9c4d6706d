"""The tables that only grow: each landing's rows are added exactly once, in the order of the landings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from collector.lake import coverage_table, paths
from collector.lake.append_tables import SMALL_GROUP, RunRecord, append, last_landing, record_run
from collector.lake.local import LocalStore
from collector.lake.parquet import ROWS_IN_GROUP, LakeParquetFile, stage_table
from collector.lake.store import NO_FILE, Replacement
from collector.lake.tables import RESTATEMENTS, RUNS
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from collector.lake.store import Version

PATH = "restatements/workspace=acme/month=2026-11-01/data.parquet"
NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)

LANDINGS = st.lists(st.tuples(st.lists(st.integers(0, 4), max_size=3), st.integers(1, 3)), max_size=6)
"""For each landing: the rows of each of its parts, and how often it is landed."""


def make_store(folder: Path) -> LocalStore:
    return LocalStore(folder, paths.internal_folder("acme"))


def rows_of(landing: str, count: int) -> pa.Table:
    """Rows that name their landing and their place in it."""
    columns = {name: pa.nulls(count, kind) for name, kind in zip(*_columns(), strict=True)}
    columns["run_id"] = pa.array([landing] * count, pa.string())
    columns["new_value"] = pa.array(range(count), pa.int64())
    return pa.table(columns, schema=RESTATEMENTS.schema).cast(RESTATEMENTS.schema_in_memory)


def _columns() -> tuple[list[str], list[pa.DataType]]:
    return RESTATEMENTS.schema.names, RESTATEMENTS.schema.types


def land(store: LocalStore, landing: str, parts: Sequence[pa.Table]) -> bool:
    """Append and publish the rows of a landing. Returns whether a file was written."""
    replacement = append(store, RESTATEMENTS, PATH, parts, landing)
    if replacement is not None:
        store.publish(replacement)
    return replacement is not None


def read(folder: Path) -> list[tuple[str, int]]:
    """The landing and the place of each row, in the order of the file."""
    file = folder / PATH
    if not file.exists():
        return []
    rows = pq.ParquetFile(file).read().to_pylist()
    return [(row["run_id"], row["new_value"]) for row in rows]


@given(LANDINGS)
def test_each_landing_adds_its_rows_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, landings: list[tuple[list[int], int]]
) -> None:
    """However often the last landing is repeated, its rows are in the file once, behind those of earlier landings."""
    folder = tmp_path_factory.mktemp("lake")
    store, expected, last = make_store(folder), [], ""
    for number, (counts, times) in enumerate(landings):
        name = f"run-{number}"
        parts = [rows_of(name, count) for count in counts if count]
        written = [land(store, name, parts) for _ in range(times)]
        assert written == [bool(parts), *[False] * (times - 1)]
        expected += [(name, place) for part in parts for place in range(part.num_rows)]
        last = name if parts else last
        assert last_landing(store, PATH) == last
    assert read(folder) == expected


def test_small_row_groups_are_joined(tmp_path: Path) -> None:
    """Landings of few rows do not leave many row groups: one under half a row group is joined with what follows."""
    store = make_store(tmp_path)
    counts = [SMALL_GROUP - 1, 2, 1, SMALL_GROUP - 1, 1, 1]
    for number, count in enumerate(counts):
        land(store, f"run-{number}", [rows_of(f"run-{number}", count)])
    metadata = pq.ParquetFile(tmp_path / PATH).metadata
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert groups == [SMALL_GROUP + 1, SMALL_GROUP, 2]
    assert max(groups) <= ROWS_IN_GROUP
    assert read(tmp_path)[-3:] == [("run-3", SMALL_GROUP - 2), ("run-4", 0), ("run-5", 0)]


def test_many_small_row_groups_of_a_file_are_joined(tmp_path: Path) -> None:
    """A file that has many small row groups has one after the next landing."""
    store = make_store(tmp_path)
    with store.stage() as stage, pq.ParquetWriter(stage.sink, RESTATEMENTS.schema, store_schema=False) as writer:
        for _ in range(30):
            writer.write_table(rows_of("run-0", 1).cast(RESTATEMENTS.schema))
    store.publish(Replacement(PATH, stage.staged, NO_FILE))
    land(store, "run-1", [rows_of("run-1", 1)])
    assert pq.ParquetFile(tmp_path / PATH).metadata.num_row_groups == 1
    assert read(tmp_path) == [("run-0", 0)] * 30 + [("run-1", 0)]


def test_a_file_without_the_last_columns_reads_as_null_there(tmp_path: Path) -> None:
    """Rows that an older version wrote keep what they have, and get null in the columns that came later."""
    store = make_store(tmp_path)
    older = rows_of("run-0", 2).select(RESTATEMENTS.schema.names[:-2]).cast(pa.schema(list(RESTATEMENTS.schema)[:-2]))
    store.publish(Replacement(PATH, stage_table(store, older, (), {}), NO_FILE))
    land(store, "run-1", [rows_of("run-1", 1)])
    found = pq.ParquetFile(tmp_path / PATH).read()
    assert found.schema.names == RESTATEMENTS.schema.names
    assert found["run_id"].to_pylist() == [None, None, "run-1"]
    assert found["new_value"].to_pylist() == [0, 1, 0]


def test_a_run_has_one_row(tmp_path: Path) -> None:
    """A run's row is added once, also where other runs have added theirs since."""
    store = make_store(tmp_path)
    for run in ("run-1", "run-2", "run-1", "run-3", "run-3"):
        record_run(store, "acme", RunRecord(run, NOW, NOW, "1"))
    file = LakeParquetFile.open(store, paths.monthly_file(RUNS.name, "acme", NOW.date()))
    assert file is not None
    with file:
        rows = file.table(RUNS.schema)
    assert rows["run_id"].to_pylist() == ["run-1", "run-2", "run-3"]
    assert rows["ended_at"].to_pylist() == [None, None, None]


class _FooterStore(LocalStore):
    """A folder that counts the files which are opened completely."""

    opened = 0

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        self.opened += 1
        return super().open(path)

    def open_footer(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        return super().open(path)


def test_what_needs_a_footer_opens_the_footer(tmp_path: Path) -> None:
    """No complete file is opened for its last landing, nor for a data file that a copy gave another version."""
    store = _FooterStore(tmp_path, paths.internal_folder("acme"))
    data = paths.Partition.of("sessions_app_daily/workspace=acme/month=2026-11-01/data.parquet")
    assert data is not None
    land(store, "run-1", [rows_of("run-1", 1)])
    store.publish(
        Replacement(data.path, stage_table(store, rows_of("run-1", 3), (), {"collector.landing": "x"}), NO_FILE)
    )
    size = (tmp_path / data.path).stat().st_size
    before = coverage_table.CoverageState(files={data.path: coverage_table.FileRecord("before the copy", "x", size, 3)})
    store.opened = 0
    assert last_landing(store, PATH) == "run-1"
    state = coverage_table.void_changed_files(
        store,
        "acme",
        before,
        wanted=frozenset({("sessions", Scope.APP, Unit.DAY)}),
        report=False,
    )
    assert (state.files[data.path].landing, state.files[data.path].rows) == ("x", 3)
    assert store.opened == 0
