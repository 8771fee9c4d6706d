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
from tests.readers.lake import DATA_TABLES, TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.tables import Table


def files(lake: Path, table: Table) -> list[Path]:
    """The table's files; at least one."""
    found = sorted((lake / table.name).rglob("*.parquet"))
    assert found
    return found


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_file_has_plain_columns_and_no_partition(lake: Path, table: Table) -> None:
    """The declared columns in their order, with timestamps in microseconds; no dictionaries, no partition columns."""
    for file in files(lake, table):
        read = pq.ParquetFile(file).schema_arrow
        assert read.equals(table.schema)
        assert not {column.name for column in table.partitions} & set(read.names)
        assert b"ARROW:schema" not in (pq.read_metadata(file).metadata or {})


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_file_has_indexes_statistics_and_checksums(lake: Path, table: Table) -> None:
    """Zstd in every column; page index and statistics; valid checksums; row groups of up to 128 Ki rows."""
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


@pytest.mark.parametrize("table", DATA_TABLES, ids=lambda table: table.name)
def test_rows_are_sorted_as_the_metadata_says(lake: Path, table: Table) -> None:
    """The metadata of a data file names ids and bucket as sorting columns, and its rows are sorted by them."""
    ids = [column.name for column in table.columns if column.name in ("app_id", "segment_id")]
    keys = [*ids, "date" if table.name.endswith("daily") else "hour"]
    for file in files(lake, table):
        rows = pq.ParquetFile(file).read()
        sorting = pq.read_metadata(file).row_group(0).sorting_columns
        assert [rows.column_names[each.column_index] for each in sorting] == keys
        assert not any(each.descending for each in sorting)
        order = pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in keys])
        assert order.equals(pa.array(range(rows.num_rows), pa.uint64()))


def test_the_coverage_is_sorted_as_the_metadata_says(lake: Path) -> None:
    """It is sorted by the columns that the metadata names, nulls first."""
    for file in sorted((lake / "coverage").rglob("*.parquet")):
        rows = pq.ParquetFile(file).read()
        sorting = pq.read_metadata(file).row_group(0).sorting_columns
        keys = [rows.column_names[each.column_index] for each in sorting]
        assert keys == ["metric", "scope", "unit", "app_id", "segment_id", "event", "first_start"]
        assert all(each.nulls_first for each in sorting)
        listed = [
            tuple((value is not None, value) for value in row)
            for row in zip(*(rows[key].to_pylist() for key in keys), strict=True)
        ]
        assert listed == sorted(listed)


def test_a_table_folder_has_only_complete_files(lake: Path) -> None:
    """Every file in a table's folder is a Parquet file that opens; staging and locks are elsewhere."""
    for table in TABLES:
        for path in (lake / table.name).rglob("*"):
            assert path.is_dir() or (path.suffix == ".parquet" and pq.read_metadata(path).num_columns)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_collector_reads_on_its_own_thread(lake: Path, table: Table) -> None:
    """No thread of Arrow holds a lake file: one that releases it while the process ends would abort the process."""
    threads = set()

    class Source(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            threads.add(threading.get_ident())
            return super().read(size)

    for file in files(lake, table):
        with LakeParquetFile(file.name, pa.PythonFile(Source(file.read_bytes()), mode="r"), NO_FILE) as opened:
            rows = opened.table(table.schema)
            assert sum(map(len, opened.row_groups(table.schema))) == len(rows) > 0
    assert threads == {threading.get_ident()}
