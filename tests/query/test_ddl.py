from __future__ import annotations

import re
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.cli.query import ENGINES
from collector.lake.tables import COVERAGE, TABLES
from tests.query.declared import ddl, declared
from tests.query.examples import session
from tests.support.night import Night, make_document

if TYPE_CHECKING:
    from pathlib import Path

every_engine = pytest.mark.parametrize("engine", ENGINES)


@every_engine
def test_every_statement_parses(night: Night, engine: str) -> None:
    """The library sqlglot parses every statement in the engine's grammar."""
    sqlglot = pytest.importorskip("sqlglot", reason="sqlglot is not installed: pip install -e '.[dev]'")
    kinds: set[str] = set()
    for statement in declared(night, engine):
        # sqlglot does not know this clause, which is in BigQuery's reference.
        known = re.sub(r"WITH PARTITION COLUMNS \([^)]*\)\n", "", statement) if engine == "bigquery" else statement
        kinds.add(sqlglot.parse_one(known, read=engine).key)
    assert kinds <= {"create", "drop", "comment", "set"}


@every_engine
def test_every_table_and_view_is_declared_with_comments(night: Night, engine: str) -> None:
    """Every table, with or without rows, and every view is declared, with a comment on each column."""
    text = ddl(night, engine).stdout
    created = re.findall(r"^CREATE (?:OR REPLACE )?(?:EXTERNAL )?(?:TABLE|VIEW) (\w+)", text, re.MULTILINE)
    assert len(created) == len(set(created)) == 2 * len(TABLES) - 1
    assert {table.name for table in TABLES} <= set(created)
    for table in TABLES:
        for column in table.columns:
            assert column.comment in text.replace("\\'", "'").replace("''", "'"), column.name


@every_engine
def test_one_view_is_declared_with_what_it_reads(night: Night, engine: str) -> None:
    """--table declares the named table or view, what it reads, and nothing else."""
    created = re.findall(r"^CREATE .*?(?:TABLE|VIEW) (\w+)", ddl(night, engine, "--table", "app_days").stdout, re.M)
    assert set(created) == {"sessions_app_daily", "coverage", "workspaces", "app_names", "app_days"}
    unknown = ddl(night, engine, "--table", "app_day")
    assert (unknown.exit_code, "did you mean app_days?" in unknown.stderr) == (2, True)


def test_duckdb_executes_the_statements(night: Night) -> None:
    """DuckDB executes the output unchanged: rows as with `sql`, and comments on every table, view and column."""
    with duckdb.connect() as connection, session(night) as opened:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(ddl(night, "duckdb").stdout)
        views = connection.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall()
        assert len(views) == 2 * len(TABLES) - 1
        assert all(comment for _, comment in views)
        for name, _ in views:
            query = f"SELECT * FROM {name} ORDER BY ALL"
            assert connection.sql(query).to_arrow_table().equals(next(opened.execute(query))), name
        bare = "SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
        assert connection.execute(bare).fetchone() == (0,)


def test_duckdb_accepts_a_lake_without_files_and_with_wildcards_in_its_path(tmp_path: Path) -> None:
    """Tables without files are declared empty, with their types; wildcards in the lake's path are escaped."""
    night = Night(tmp_path / "a [b] *'s", make_document("http://127.0.0.1:1", {"name": "acme"}))
    with duckdb.connect() as connection:
        connection.execute(ddl(night, "duckdb").stdout)
        assert connection.execute("SELECT count(*) FROM app_segment_hours").fetchone() == (0,)
        (kind,) = connection.execute("SELECT DISTINCT typeof(hour) FROM (SELECT NULL::TIMESTAMPTZ AS hour)").fetchall()
        described = connection.execute("SELECT column_type FROM (DESCRIBE app_hours) WHERE column_name = 'hour'")
        assert described.fetchone() == kind
    folder = night.lake / "coverage" / "workspace=acme"
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        pq.write_table(pa.Table.from_pylist([{"scope": "app"}], COVERAGE.schema), folder / "data.parquet")
        connection.execute(ddl(night, "duckdb").stdout)
        assert connection.execute("SELECT workspace, count(*) FROM coverage GROUP BY ALL").fetchall() == [("acme", 1)]


def test_athena_needs_no_crawler(night: Night) -> None:
    """Athena computes the partitions from the config's workspaces and from dates."""
    statements = declared(night, "athena")
    days = next(each for each in statements if each.startswith("CREATE EXTERNAL TABLE sessions_app_daily"))
    log = next(each for each in statements if each.startswith("CREATE EXTERNAL TABLE collection_log"))
    for line in (
        "'projection.enabled' = 'true'",
        "'projection.workspace.type' = 'enum'",
        "'projection.workspace.values' = 'acme,globex'",
        "'projection.month.type' = 'date'",
        "'projection.month.format' = 'yyyy-MM-dd'",
        "'projection.month.interval' = '1'",
        "'projection.month.interval.unit' = 'MONTHS'",
        "LOCATION 's3://bucket/some prefix/sessions_app_daily/'",
        "s3://bucket/some prefix/sessions_app_daily/workspace=${workspace}/month=${month}'",
    ):
        assert line in days
    assert "'projection.month.interval.unit' = 'MONTHS'" in log


@pytest.mark.parametrize(
    ("engine", "lake", "written"),
    [
        ("spark", "s3://bucket/p", "'s3a://bucket/p/coverage'"),
        ("spark", "/data/lake", "'file:///data/lake/coverage'"),
        # Spark's SQL and its patterns each take a backslash away.
        ("spark", r"/data/it's [b]\c", r"'file:///data/it\'s \\[b\\]\\\\c/coverage'"),
        ("databricks", "abfs://c@a.dfs.core.windows.net/p", "'abfss://c@a.dfs.core.windows.net/p/coverage'"),
        ("bigquery", "gs://bucket/p/", "'gs://bucket/p/coverage/*.parquet'"),
        ("snowflake", "gs://bucket/p", "URL = 'gcs://bucket/p/'"),
        ("snowflake", "@stage/p", "LOCATION = @stage/p/coverage/"),
        ("athena", "s3a://bucket/p", "'s3://bucket/p/coverage/'"),
    ],
)
def test_addresses_have_the_schemes_of_the_engine(night: Night, engine: str, lake: str, written: str) -> None:
    """The address of --lake is written with the scheme that the engine uses."""
    assert written in ddl(night, engine, "--lake", lake, "--table", "coverage").stdout


def test_a_lake_that_the_engine_cannot_read_is_refused(night: Night) -> None:
    """An engine that cannot read the lake's address gives one line with what it can read, and exit code 2."""
    for engine, lake in (("athena", "gs://bucket"), ("bigquery", "/data/lake"), ("databricks", "./lake")):
        refused = ddl(night, engine, "--lake", lake)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
        assert "--lake" in refused.stderr
