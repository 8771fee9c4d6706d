from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from collector.lake.tables import DATA_TABLES, TABLES, Table
from tests.readers.lake import rows_of, same_types, truth

if TYPE_CHECKING:
    from pathlib import Path

every_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
DAYS = DATA_TABLES[0]
OCTOBER = date(2026, 10, 1)


@every_table
def test_duckdb_reads_it(lake: Path, table: Table) -> None:
    """DuckDB, without options: the declared columns, types and rows; month and run_date are dates."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        answer = connection.sql(f"FROM read_parquet('{lake}/{table.name}/**/*.parquet')").to_arrow_table()
    expected = pa.schema([(column.name, column.type) for column in table.all_columns])
    # DuckDB sorts the partition columns by name.
    assert same_types(answer.select(expected.names).schema, table)
    assert rows_of(answer.select(expected.names)) == truth(lake, table)


def test_duckdb_leaves_out_months(lake: Path) -> None:
    """DuckDB's plan scans only the files of the requested month."""
    scan = f"EXPLAIN FROM read_parquet('{lake}/{DAYS.name}/**/*.parquet') WHERE month = DATE '2026-10-01'"
    with duckdb.connect() as connection:
        (plan,) = (row[1] for row in connection.execute(scan).fetchall())
    assert "Scanning Files: 2/4" in plan


@every_table
def test_polars_reads_it(lake: Path, table: Table) -> None:
    """Polars, with the option to parse dates in paths: the declared columns, types and rows."""
    polars = pytest.importorskip("polars", reason="Polars is not installed: pip install -e '.[lakes]'")
    frame = polars.scan_parquet(f"{lake}/{table.name}/**/*.parquet", hive_partitioning=True, try_parse_hive_dates=True)
    answer = frame.collect().to_arrow()
    assert same_types(answer.schema, table)
    assert rows_of(answer) == truth(lake, table)


def test_polars_leaves_out_months(lake: Path) -> None:
    """Polars' plan names only the files of the requested month."""
    polars = pytest.importorskip("polars", reason="Polars is not installed: pip install -e '.[lakes]'")
    frame = polars.scan_parquet(f"{lake}/{DAYS.name}/**/*.parquet", hive_partitioning=True, try_parse_hive_dates=True)
    plan = frame.filter(polars.col("month") == OCTOBER).explain()
    assert "month=2026-11-01" not in plan
    assert "month=2026-10-01" in plan


@every_table
def test_pyarrow_reads_it(lake: Path, table: Table) -> None:
    """pyarrow.dataset, with the partition types given: the declared columns, types and rows."""
    partitioning = ds.partitioning(table.partition_schema, flavor="hive")
    answer = ds.dataset(lake / table.name, partitioning=partitioning).to_table()
    assert same_types(answer.schema, table)
    assert rows_of(answer) == truth(lake, table)


def test_pyarrow_leaves_out_months(lake: Path) -> None:
    """pyarrow.dataset keeps only the fragments of the requested month."""
    dataset = ds.dataset(lake / DAYS.name, partitioning=ds.partitioning(DAYS.partition_schema, flavor="hive"))
    kept = [fragment.path for fragment in dataset.get_fragments(ds.field("month") == pa.scalar(OCTOBER))]
    assert len(kept) == 2
    assert all("month=2026-10-01" in path for path in kept)


@every_table
def test_datafusion_reads_it(lake: Path, table: Table) -> None:
    """DataFusion, with the partition types given: the declared columns, types and rows."""
    datafusion = pytest.importorskip("datafusion", reason="DataFusion is not installed: pip install -e '.[lakes]'")
    context = datafusion.SessionContext()
    partitions = [(column.name, column.type) for column in table.partitions]
    context.register_parquet(table.name, str(lake / table.name), table_partition_cols=partitions)
    answer = context.table(table.name).to_arrow_table()
    assert same_types(answer.schema, table)
    assert rows_of(answer) == truth(lake, table)


def test_datafusion_leaves_out_months(lake: Path) -> None:
    """DataFusion's plan names only the files of the requested month."""
    datafusion = pytest.importorskip("datafusion", reason="DataFusion is not installed: pip install -e '.[lakes]'")
    context = datafusion.SessionContext()
    partitions = [(column.name, column.type) for column in DAYS.partitions]
    context.register_parquet("days", str(lake / DAYS.name), table_partition_cols=partitions)
    plan = str(context.sql("SELECT sum(sessions) FROM days WHERE month = DATE '2026-10-01'").execution_plan())
    assert "month=2026-11-01" not in plan
    assert "month=2026-10-01" in plan
