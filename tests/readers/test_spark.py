"""Spark reads the lake from its folder. Buckets are not tested: Spark needs jars for them that no package contains."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from collector.lake.tables import TABLES as ALL_TABLES
from tests.query.declared import declared
from tests.query.examples import session
from tests.readers.lake import DATA_TABLES, TABLES, in_order, rows_of, same_types, truth
from tests.support.night import Night, make_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.lake.tables import Table

pytestmark = [
    pytest.mark.lakes,
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore"),  # Spark's own
]
ZONE = "America/Los_Angeles"
"""Neither UTC nor a workspace's zone, so that results which depend on the session's zone are found out."""


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Spark session in this process, which listens only on this machine."""
    sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed: pip install -e '.[lakes]'")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.session.timeZone": ZONE,
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
    }
    builder = sql.SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    started = builder.getOrCreate()
    started.sparkContext.setLogLevel("ERROR")
    yield started
    started.stop()


def answer(frame: Any) -> pa.Table:
    """A frame's rows, with timestamps in UTC as in the lake."""
    found = frame.toArrow()
    utc = [
        pa.field(field.name, pa.timestamp("us", tz="UTC"))
        if pa.types.is_timestamp(field.type) and field.type.tz
        else field
        for field in found.schema
    ]
    return found.cast(pa.schema(utc))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_spark_reads_it(spark: Any, lake: Path, table: Table) -> None:
    """Spark, without options: the declared columns, types and rows; month and run_date are dates."""
    found = answer(spark.read.parquet(str(lake / table.name)))
    assert same_types(found.schema, table)
    assert rows_of(found) == truth(lake, table)


def test_spark_leaves_out_months(spark: Any, lake: Path) -> None:
    """Spark's plan filters partitions by the requested month, and its scan opens only their files."""
    frame = spark.read.parquet(str(lake / DATA_TABLES[0].name)).where("month = DATE '2026-10-01'")
    plan = frame._jdf.queryExecution().executedPlan()
    frame._jdf.queryExecution().toRdd().count()
    assert "PartitionFilters: [isnotnull(month" in plan.toString()
    assert plan.collectLeaves().head().metrics().apply("numFiles").value() == 2


def test_the_snippet_of_the_page_gives_the_rows(spark: Any, lake: Path) -> None:
    """Spark's line in docs/tables.md gives the rows of November, below folders that look like partitions."""
    page = Path(__file__).resolve().parent.parent.parent / "docs" / "tables.md"
    (snippet,) = (text for text in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) if "spark" in text)
    names = {"spark": spark}
    exec(snippet.replace('"lake/', f'"{lake}/'), names)  # noqa: S102  # the page's own line
    november = [row for row in truth(lake, DATA_TABLES[0]) if row[-1] == date(2026, 11, 1)]
    assert rows_of(answer(names["november"])) == november


def test_spark_carries_the_declaration_out(spark: Any, landed: Night) -> None:
    """Every table and view of `ddl` has the rows that DuckDB shows, in any session zone; columns have comments."""
    for statement in declared(landed, "spark"):
        spark.sql(statement)
    names = [row.tableName for row in spark.sql("SHOW TABLES").collect()]
    assert len(names) == 2 * len(ALL_TABLES) - 1
    for name in names:
        described = spark.sql(f"DESCRIBE {name}").collect()
        columns = [row for row in described if row.col_name and not row.col_name.startswith("#")]
        assert all(row.comment for row in columns), name
    with session(landed) as opened:
        for name in names:
            ours = next(opened.execute(f"FROM {name}"))
            theirs = answer(spark.sql(f"SELECT * FROM {name}"))
            assert theirs.column_names == ours.column_names
            assert in_order(rows_of(theirs)) == in_order(rows_of(ours)), name
    october = spark.sql("SELECT * FROM app_hours WHERE month = DATE '2026-10-01'")
    assert "PartitionFilters: [isnotnull(month" in october._jdf.queryExecution().executedPlan().toString()


def test_spark_reads_below_any_folder(spark: Any, landed: Night, tmp_path: Path) -> None:
    """A lake below folders whose names look like partitions or patterns has its own rows."""
    night = Night(tmp_path / "month=2020-01-01" / "it's a [b]" / "back\\slash *?{c,d} %20 ü", landed.document)
    shutil.copytree(landed.lake / "coverage", night.lake / "coverage")
    spark.sql("CREATE DATABASE odd")
    spark.sql("USE odd")
    for statement in declared(night, "spark", "--table", "coverage"):
        spark.sql(statement)
    (coverage,) = (table for table in TABLES if table.name == "coverage")
    assert rows_of(answer(spark.sql("SELECT * FROM coverage"))) == truth(landed.lake, coverage)
    spark.sql("USE default")


def test_spark_runs_the_ddl_of_an_empty_lake(spark: Any, tmp_path: Path) -> None:
    """Tables without a folder are declared, and are empty."""
    night = Night(tmp_path, make_document("http://127.0.0.1:1", {"name": "acme"}))
    spark.sql("CREATE DATABASE nothing")
    spark.sql("USE nothing")
    for statement in declared(night, "spark"):
        spark.sql(statement)
    assert spark.sql("SELECT count(*) FROM app_segment_hours").first()[0] == 0
    spark.sql("USE default")
