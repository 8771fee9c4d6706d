from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from collector.lake.parquet import ROWS_IN_GROUP, LakeParquetFile
from collector.lake.store import NO_FILE
from collector.lake.tables import SESSIONS, TABLES, Table

if TYPE_CHECKING:
    from pathlib import Path


def files(lake: Path, table: Table) -> list[Path]:
    """The table's files, of which there are some."""
    found = sorted((lake / table.name).rglob("*.parquet"))
    assert found
    return found


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_file_holds_plain_columns_and_no_partition(lake: Path, table: Table) -> None:
    """The contract's columns in its order: microseconds in UTC, no dictionary, no nanosecond, nothing of the path."""
    for file in files(lake, table):
        read = pq.ParquetFile(file).schema_arrow
        assert [(field.name, field.type) for field in read] == [(column.name, column.type) for column in table.columns]
        assert not {column.name for column in table.partitions} & set(read.names)
        assert b"ARROW:schema" not in (pq.read_metadata(file).metadata or {})


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_file_helps_its_readers(lake: Path, table: Table) -> None:
    """Zstd in every column; page index and statistics; checksums that hold; row groups of up to 128 Ki rows."""
    for file in files(lake, table):
        metadata = pq.read_metadata(file)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        chunks = [group.column(place) for group in groups for place in range(metadata.num_columns)]
        assert {chunk.compression for chunk in chunks} == {"ZSTD"}
        assert all(chunk.has_offset_index and chunk.has_column_index for chunk in chunks)
        assert all(chunk.is_stats_set for chunk in chunks)
        assert all(group.num_rows <= ROWS_IN_GROUP for group in groups)
        assert len(groups) == -(-metadata.num_rows // ROWS_IN_GROUP)
        pq.ParquetFile(file, page_checksum_verification=True).read()


@pytest.mark.parametrize("table", SESSIONS, ids=lambda table: table.name)
def test_rows_are_sorted_as_the_file_says(lake: Path, table: Table) -> None:
    """Data files say by which columns they are sorted, by ids and then the bucket, and their rows really are."""
    ids = [column.name for column in table.columns if column.name in ("app_id", "segment_id")]
    keys = [*ids, "date" if table.name.endswith("daily") else "hour"]
    for file in files(lake, table):
        rows = pq.ParquetFile(file).read()
        told = pq.read_metadata(file).row_group(0).sorting_columns
        assert [rows.column_names[each.column_index] for each in told] == keys
        assert not any(each.descending for each in told)
        order = pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in keys])
        assert order.equals(pa.array(range(rows.num_rows), pa.uint64()))


@pytest.mark.parametrize("name", ["restatements", "coverage"])
def test_other_files_are_sorted_as_they_say(lake: Path, name: str) -> None:
    """Coverage and restatements are sorted by the columns that their files name, nulls first."""
    for file in sorted((lake / name).rglob("*.parquet")):
        rows = pq.ParquetFile(file).read()
        told = pq.read_metadata(file).row_group(0).sorting_columns
        keys = [rows.column_names[each.column_index] for each in told]
        assert keys[:4] == ["scope", "unit", "app_id", "segment_id"]
        assert all(each.nulls_first for each in told)
        listed = [
            tuple((value is not None, value) for value in row)
            for row in zip(*(rows[key].to_pylist() for key in keys), strict=True)
        ]
        assert listed == sorted(listed)


def test_nothing_but_whole_files_lies_under_a_table(lake: Path) -> None:
    """Every file below a table's folder is a Parquet file that opens; staging and locks are elsewhere."""
    for table in TABLES:
        for path in (lake / table.name).rglob("*"):
            assert path.is_dir() or (path.suffix == ".parquet" and pq.read_metadata(path).num_columns)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_collector_reads_on_its_own_thread(lake: Path, table: Table) -> None:
    """No thread of Arrow's holds a file of ours: one that lets it go while the process ends aborts it."""
    threads = set()

    class Source(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            threads.add(threading.get_ident())
            return super().read(size)

    schema = pa.schema([(column.name, column.type) for column in table.columns])
    for file in files(lake, table):
        with LakeParquetFile(file.name, pa.PythonFile(Source(file.read_bytes()), mode="r"), NO_FILE) as opened:
            whole = opened.table(schema)
            assert sum(map(len, opened.row_groups(schema))) == len(whole) > 0
    assert threads == {threading.get_ident()}
