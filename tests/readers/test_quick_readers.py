from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from tests.query.declared import ddl
from tests.readers.lake import DATA_TABLES, TABLES, in_order, rows_of, same_types, truth

if TYPE_CHECKING:
    from collector.lake.tables import Table
    from tests.support.night import Night

every_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
DAYS = DATA_TABLES[0]
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "tables.md"


@every_table
def test_duckdb_reads_it(landed: Night, lake: Path, table: Table) -> None:
    """DuckDB, by the views of `ddl`: the declared columns, types and rows; partitions of dates are dates."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(ddl(landed, "duckdb", "--table", table.name).stdout)
        answer = connection.sql(f"FROM {table.name}").to_arrow_table()
    assert same_types(answer.schema, table)
    assert rows_of(answer) == truth(lake, table)


@pytest.mark.parametrize(
    ("condition", "files"),
    [
        ("month = DATE '2026-10-01'", "2/4"),
        ("month > '2026-10-15' AND workspace = 'acme'", "1/4"),
        ("workspace = 'globex_2'", "2/4"),
    ],
)
def test_duckdb_leaves_out_months(landed: Night, condition: str, files: str) -> None:
    """DuckDB's plan scans only the files of the requested months and workspaces."""
    with duckdb.connect() as connection:
        connection.execute(ddl(landed, "duckdb", "--table", DAYS.name).stdout)
        scan = f"EXPLAIN SELECT sum(sessions) FROM {DAYS.name} WHERE {condition}"
        (plan,) = (row[1] for row in connection.execute(scan).fetchall())
    assert f"Scanning Files: {files}" in plan


@every_table
def test_polars_reads_it(lake: Path, table: Table) -> None:
    """Polars, with the option to parse dates in paths: the declared columns, types and rows."""
    polars = pytest.importorskip("polars", reason="Polars is not installed: pip install -e '.[lakes]'")
    frame = polars.scan_parquet(lake / table.name, hive_partitioning=True, try_parse_hive_dates=True)
    answer = frame.collect().to_arrow()
    assert same_types(answer.schema, table)
    assert rows_of(answer) == truth(lake, table)


def test_polars_leaves_out_months(lake: Path) -> None:
    """Polars' plan names only the files of the requested month."""
    polars = pytest.importorskip("polars", reason="Polars is not installed: pip install -e '.[lakes]'")
    frame = polars.scan_parquet(lake / DAYS.name, hive_partitioning=True, try_parse_hive_dates=True)
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


@every_table
def test_pandas_reads_it(lake: Path, table: Table) -> None:
    """pandas, without options: the declared columns and rows; partitions are categories of text."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install -e '.[dev]'")
    frame = pandas.read_parquet(lake / table.name)
    answer = pa.Table.from_pandas(frame, preserve_index=False)
    assert answer.column_names == [column.name for column in table.all_columns]
    places = [answer.column_names.index(column.name) for column in table.partitions]
    expected = [tuple(str(v) if place in places else v for place, v in enumerate(row)) for row in truth(lake, table)]
    assert rows_of(answer) == in_order(expected)


def test_pandas_leaves_out_months(lake: Path, tmp_path: Path) -> None:
    """Pandas with a filter on month opens only the files of that month: the others may be damaged."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install -e '.[dev]'")
    copied = shutil.copytree(lake / DAYS.name, tmp_path / DAYS.name)
    for file in copied.glob("*/month=2026-11-01/data.parquet"):
        file.write_bytes(b"")
    frame = pandas.read_parquet(copied, filters=[("month", "==", "2026-10-01")])
    assert len(frame) == sum(row[-1] == OCTOBER for row in truth(lake, DAYS)) > 0


SNIPPETS = [text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "spark" not in text]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: re.findall(r"import (\w+)", snippet)[0])
def test_a_snippet_of_the_page_gives_the_rows(lake: Path, monkeypatch: pytest.MonkeyPatch, snippet: str) -> None:
    """Each reader's lines in docs/tables.md give the rows of November, below folders that look like partitions."""
    for name in re.findall(r"import (\w+)", snippet):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install -e '.[dev]'")
    monkeypatch.chdir(lake.parent)
    names: dict[str, Any] = {}
    exec(snippet, names)  # noqa: S102  # the page's own lines
    found = names["november"]
    if not isinstance(found, pa.Table):
        found = found.to_arrow() if hasattr(found, "to_arrow") else pa.Table.from_pandas(found, preserve_index=False)
    ours = [tuple(str(value) for value in row) for row in truth(lake, DAYS) if row[-1] == NOVEMBER]
    assert sorted(tuple(str(value) for value in row) for row in rows_of(found)) == sorted(ours)
    assert ours


@pytest.mark.parametrize("reader", ["pyarrow.dataset as ds", "pandas as pd", "polars as pl", "datafusion"])
def test_every_reader_has_lines_of_its_own(reader: str) -> None:
    """The page has one snippet for each of these readers; Spark's runs in its own tests."""
    assert sum(re.search(rf"\bimport .*{reader}", text) is not None for text in SNIPPETS) == 1
