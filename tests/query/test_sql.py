from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from collector.cli.main import cli
from collector.lake.local import LocalStore
from collector.lake.store import LakeError
from collector.lake.tables import TABLES
from collector.query import QueryRefused
from collector.query.engines.engine import LakeLocation
from collector.query.session import Session
from tests.query.declared import ddl
from tests.query.examples import session
from tests.query.terminal import CTRL_C, CTRL_D, on_a_terminal
from tests.support.builders import NOW
from tests.support.night import Night, make_document
from tests.support.program import Program
from tests.support.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from collector.lake.store import Version

REPETITIONS = 20
"""A failing scan must not deadlock. That depends on the timing of threads, so it is tried more than once."""
WITHOUT_KEYS = {"KEY_ACME": None, "KEY_GLOBEX": None}


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A lake of days of one app; tests that change a file of it put it back."""
    env = Site(tmp_path_factory.mktemp("daily"), {"name": "acme"}, units=["day"])
    with env.served():
        assert env.night.run(NOW).exit_code == 0
    return env.night


@pytest.fixture(scope="module")
def opened(night: Night) -> Iterator[Session]:
    """A session over the lake of eight nights, which many tests use: none can change it."""
    with session(night) as shared:
        yield shared


def sql(night: Night, *arguments: str, stdin: str = "") -> Result:
    """Run `collector sql` in this process, without API keys."""
    return CliRunner().invoke(cli, ["-c", str(night.config), "sql", *arguments], input=stdin, env=WITHOUT_KEYS)


def test_every_table_and_view_can_be_queried(night: Night, opened: Session) -> None:
    """Every table and view can be queried by their names."""
    names = [row["name"] for row in json.loads(sql(night, "SHOW TABLES", "--format", "json").stdout)]
    assert len(names) == 2 * len(TABLES) - 1
    assert {table.name for table in TABLES} <= set(names)
    for name in names:
        assert len(list(opened.execute(f"SELECT count(*) FROM {name}"))) == 1


def test_a_table_has_the_rows_of_the_lake(night: Night) -> None:
    """A table has the rows of the lake, with workspace and month as columns."""
    query = "SELECT workspace, app_id, date, sessions, month FROM {} ORDER BY ALL"
    result = json.loads(sql(night, query.format("sessions_app_daily"), "--format", "json").stdout)
    stored = night.query(query.format("{sessions_app_daily}"))
    assert [tuple(row.values()) for row in result] == [(*row[:2], str(row[2]), row[3], str(row[4])) for row in stored]


def test_all_formats_have_the_same_rows(night: Night, tmp_path: Path) -> None:
    """Table, CSV, JSON and Parquet have the same rows; instants are ISO 8601 in UTC; a sum of counts is an integer."""
    query = (
        "SELECT app, hour, sum(sessions) AS sessions, NULL AS nothing FROM app_hours WHERE workspace = 'globex' "
        "AND month = '2026-11-01' GROUP BY ALL ORDER BY hour LIMIT 2"
    )
    as_json = json.loads(sql(night, query, "--format", "json").stdout)
    assert [row["hour"] for row in as_json] == ["2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z"]
    assert {type(row["sessions"]) for row in as_json} == {int}
    as_csv = list(csv.DictReader(io.StringIO(sql(night, query, "--format", "csv").stdout)))
    assert as_csv == [{key: str(value or "") for key, value in row.items()} for row in as_json]
    file = tmp_path / "answer.parquet"
    assert sql(night, query, "--format", "parquet", "--output", str(file)).exit_code == 0
    answer = pq.read_table(file)
    assert answer.schema.field("hour").type == pa.timestamp("us", tz="UTC")
    assert answer["sessions"].to_pylist() == [row["sessions"] for row in as_json]
    lines = sql(night, query).stdout.splitlines()
    assert lines[0].split() == list(as_json[0])
    assert lines[2].split() == ["ios", "2026-11-01T00:00:00Z", str(as_json[0]["sessions"]), "NULL"]
    assert lines[-1] == "(2 rows)"


def test_hours_have_a_local_time(night: Night) -> None:
    """When clocks are set back, one local hour appears twice, with two UTC hours; rows have their ISO week."""
    rows = json.loads(
        sql(
            night,
            "SELECT hour, local_time, local_date, local_hour, iso_week, weekday, week_start FROM app_hours "
            "WHERE workspace = 'acme' AND app = 'ios' AND local_date = '2026-11-01' ORDER BY hour LIMIT 3",
            "--format",
            "json",
        ).stdout
    )
    assert [(row["hour"], row["local_hour"]) for row in rows] == [
        ("2026-11-01T04:00:00Z", 0),
        ("2026-11-01T05:00:00Z", 1),
        ("2026-11-01T06:00:00Z", 1),
    ]
    assert rows[2]["local_time"] == "2026-11-01T01:00:00"
    assert {(row["iso_week"], row["weekday"], row["week_start"]) for row in rows} == {("2026-W44", 7, "2026-10-26")}


def test_views_show_the_newest_name_of_each_id(tmp_path: Path) -> None:
    """After an app and a segment are renamed, all their rows have the new names in the views."""
    segments = [{"name": "vip", "id": "id-vip"}]
    env = Site(tmp_path, {"name": "acme", "segments": segments}, start="2026-11-10", units=["day"])
    with env.served():
        assert env.night.run(NOW).exit_code == 0
        workspace = env.night.document["workspaces"][0]
        workspace["apps"][0]["name"], workspace["segments"][0]["name"] = "iphone", "loyal"
        env.night.write()
        env.simulation.now = NOW + timedelta(days=1)
        assert env.night.run(NOW + timedelta(days=1)).exit_code == 0
    query = "SELECT DISTINCT app, segment FROM {} ORDER BY ALL"
    new = sql(env.night, query.format("app_segment_days"), "--format", "csv").stdout.splitlines()
    old = sql(env.night, query.format("sessions_app_segment_daily"), "--format", "csv").stdout.splitlines()
    assert new == ["app,segment", "iphone,loyal"]
    assert set(old) == {"app,segment", "ios,vip", "iphone,loyal"}


COPY_IN_CTE = "WITH gone AS (COPY (SELECT 1) TO 'FOLDER/copied.csv') FROM gone"
"""A SELECT, by its type."""


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO 'FOLDER/copied.csv'",
        "COPY app_days TO 'LAKE/coverage/workspace=acme/data.parquet'",
        COPY_IN_CTE,
        COPY_IN_CTE.replace("FOLDER", "LAKE"),
        f"FROM ({COPY_IN_CTE})",
        f"DESCRIBE {COPY_IN_CTE}",
        f"EXPLAIN {COPY_IN_CTE}",
        f"PIVOT ({COPY_IN_CTE}) ON #1 USING count(*)",
        "FROM query($$" + COPY_IN_CTE + "$$)",
        "FROM json_execute_serialized_sql(json_serialize_sql($$" + COPY_IN_CTE + "$$))",
        "WITH gone AS (DELETE FROM app_days RETURNING *) FROM gone",
        "EXPLAIN ANALYZE SELECT 1",
        "explain (analyze) SELECT 1",
        "EXPLAIN (FORMAT json, ANALYZE) SELECT 1",
        "EXPLAIN /* format */ analyze SELECT 1",
        "EXPLAIN ANALYZE PIVOT app_days ON weekday USING sum(sessions)",
        "/* a comment */ EXPLAIN -- and one more\n ANALYZE COPY (SELECT 1) TO 'FOLDER/copied.csv'",
        "explain (analyze, format json) COPY (SELECT 1) TO 'LAKE/copied.csv'",
        "EXPLAIN COPY (SELECT 1) TO 'FOLDER/copied.csv'",
        "SELECT 1; COPY (SELECT 1) TO 'FOLDER/copied.csv'",
        "ATTACH 'FOLDER/other.db'",
        "ATTACH ':memory:' AS other",
        "EXPORT DATABASE 'FOLDER/all'",
        "IMPORT DATABASE 'LAKE'",
        "CREATE TABLE mine AS SELECT 1",
        "CREATE MACRO mine() AS TABLE SELECT 1",
        "DELETE FROM app_days",
        "UPDATE app_days SET sessions = 0",
        "DROP VIEW app_days",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA version",
        "CALL enable_logging(storage = 'file', storage_path = 'FOLDER')",
        "FROM enable_logging(storage = 'file', storage_path = 'FOLDER')",
        "FROM enable_profiling()",
        "SET threads = 1",
        "SET log_query_path = 'FOLDER/log'",
        "SET profiling_output = 'LAKE/_collector/acme/workspace.json'",
        "SET VARIABLE x = 7",
        "RESET lock_configuration",
        "PREPARE mine AS SELECT 1",
        "BEGIN",
        "CHECKPOINT",
        "USE memory",
        "FROM read_text('/proc/self/environ')",
        "SELECT getenv('HOME')",
        "FROM read_csv('/etc/passwd')",
        "FROM read_csv('/dev/stdin')",
        "FROM sniff_csv('/etc/passwd')",
        "FROM read_blob('LAKE/../collector.yaml')",
        "FROM glob('/*')",
        "FROM glob('LAKE/**')",
        "FROM parquet_metadata('FOLDER/copied.csv')",
        "FROM read_duckdb('FOLDER/other.db')",
        "FROM 'https://127.0.0.1:1/rows.parquet'",
        "FROM 's3://bucket/rows.parquet'",
        "FROM read_parquet('http://127.0.0.1:1/rows.parquet')",
    ],
)
def test_what_is_more_than_reading_the_tables_is_refused(
    night: Night, opened: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """It is refused, in one line and without a row; nothing is written anywhere."""
    before = night.bytes()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QueryRefused) as refused:
        next(opened.execute(statement.replace("FOLDER", str(tmp_path)).replace("LAKE", str(night.lake))))
    assert len(str(refused.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert night.bytes() == before


@pytest.mark.parametrize("statement", [COPY_IN_CTE, "FROM read_text('/proc/self/environ')", "EXPLAIN ANALYZE SELECT 1"])
def test_a_refusal_is_exit_2(night: Night, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """What is refused prints one line on stderr and nothing on stdout, and no variable's value; exit code 2."""
    monkeypatch.setenv("OTHER_KEY", "another-programs-secret")
    refused = sql(night, statement)
    assert (refused.exit_code, len(refused.stderr.splitlines()), refused.stdout) == (2, 1, "")
    assert "another-programs-secret" not in refused.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "select 1 -- a comment",
        "WITH one AS (SELECT 1) FROM one",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) FROM n",
        "FROM app_days LIMIT 1",
        "(SELECT 1) UNION (SELECT 2)",
        "VALUES (1)",
        "TABLE workspaces",
        "DESCRIBE app_days",
        "DESC SELECT 1",
        "SUMMARIZE app_days",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "EXPLAIN SELECT sum(sessions) FROM app_days",
        "/* a comment */ explain /* one more */ FROM app_days",
        "EXPLAIN (FORMAT json) SELECT 1",
        "EXPLAIN (SELECT 1)",
        "EXPLAIN DESCRIBE app_days",
        "PIVOT app_days ON weekday USING sum(sessions) GROUP BY app",
        "FROM (PIVOT app_days ON weekday USING sum(sessions) GROUP BY app) LIMIT 1;",
        "FROM app_days PIVOT (sum(sessions) FOR weekday IN (1, 2))",
        "EXPLAIN PIVOT app_days ON weekday USING sum(sessions)",
        "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
        "FROM query_table('app_days') LIMIT 1",
    ],
)
def test_what_reads_the_tables_is_executed(opened: Session, statement: str) -> None:
    """SELECT in all its forms, DESCRIBE, SUMMARIZE, SHOW, PIVOT and EXPLAIN."""
    (result,) = opened.execute(statement)
    assert result.num_rows


def test_a_script_with_a_refused_statement_executes_none(night: Night) -> None:
    """What is refused is known before the first statement is executed."""
    refused = sql(night, stdin="SELECT 1 AS x;\nSELECT 2 AS y;\nCOPY app_days TO 'x.csv';")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "only SELECT" in refused.stderr


def test_no_setting_shows_a_password_of_the_environment(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB's settings do not repeat the proxy, whose address may hold a password."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@proxy.example.com:1")
    shown = sql(night, "FROM duckdb_settings()", "--format", "csv")
    assert (shown.exit_code, "hunter2" in shown.stdout) == (0, False)


def test_a_result_is_not_written_among_the_lake_s_files(night: Night, tmp_path: Path) -> None:
    """--output into a table's folder or `_collector/` is refused, through a link as well; beside them it is not."""
    before = night.bytes()
    (tmp_path / "link").symlink_to(night.lake)
    for name in ("coverage/workspace=acme/data.parquet", "_collector/acme/workspace.json", "sessions_app_daily/x"):
        for lake in (night.lake, tmp_path / "link"):
            refused = sql(night, "SELECT 1", "--format", "parquet", "--output", str(lake / name))
            assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1), name
    assert night.bytes() == before
    assert sql(night, "SELECT 1", "--output", str(night.lake / "answer.txt")).exit_code == 0
    (night.lake / "answer.txt").unlink()


@pytest.mark.parametrize(
    ("number", "code", "statement"),
    [
        (signal.SIGINT, 130, "SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b"),
        (signal.SIGTERM, 143, "PIVOT (SELECT a.i % 2 AS k FROM range(1000000000) AS a(i), range(1000000000)) ON k"),
    ],
)
def test_a_signal_ends_a_long_statement(night: Night, number: signal.Signals, code: int, statement: str) -> None:
    """SIGINT and SIGTERM end a statement that would take years, with 130 and 143 and without a traceback."""
    arguments = ["--config", str(night.config), "sql", f"SELECT 'begun'; {statement}"]
    with Program(arguments, night, {}) as program:
        program.until(lambda: "begun" in program.stdout)
        program.send(number)
        assert program.wait() == code
        assert program.stderr == ""


def test_a_signal_interrupts_the_statement_itself(night: Night) -> None:
    """The statement has ended when the exception of a signal leaves `execute`, and the session can go on."""
    with session(night) as opened:

        def on_alarm(*_: object) -> None:
            raise KeyboardInterrupt

        previous = signal.signal(signal.SIGALRM, on_alarm)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                next(opened.execute("SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b"))
        finally:
            signal.signal(signal.SIGALRM, previous)
        assert "duckdb" not in {thread.name for thread in threading.enumerate()}
        assert next(opened.execute("SELECT 7 AS x"))["x"].to_pylist() == [7]


ODD_FOLDERS = ("workspace=prod", "month=2020-01-01", "date=2026", "hour=x", "back\\slash", "it's \"a [b] *?{c,d} %20 ü")
"""Names of folders above a lake that readers could take for a partition, or for a pattern."""


@pytest.mark.parametrize("folder", [*ODD_FOLDERS, "/".join(ODD_FOLDERS)])
def test_the_folders_above_the_lake_change_nothing(night: Night, tmp_path: Path, folder: str) -> None:
    """Whatever the folders above the lake are called, `sql` and the statements for DuckDB have the lake's own rows."""
    moved = Night(tmp_path / folder, night.document)
    shutil.copytree(night.lake, moved.lake)
    queries = [f"SELECT * FROM {name} ORDER BY ALL" for name in ("app_segment_hours", "coverage", "workspace_days")]
    with session(night) as here, session(moved) as there, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(ddl(moved, "duckdb").stdout)
        for query in queries:
            expected = next(here.execute(query))
            assert expected.num_rows
            assert next(there.execute(query)).equals(expected)
            assert connection.sql(query).to_arrow_table().equals(expected)


@pytest.mark.parametrize("place", ["workspace", "month", "file", "table", "dangling"])
def test_a_link_in_a_table_is_refused(night: Night, tmp_path: Path, place: str) -> None:
    """`sql` and `ddl` name a symbolic link among a table's folders and files, with exit code 5; the lake may be one."""
    copied = Night(tmp_path, night.document)
    shutil.copytree(night.lake, tmp_path / "real")
    copied.lake.symlink_to(tmp_path / "real")
    assert sql(copied, "SELECT count(*) FROM app_days").exit_code == 0
    table = copied.lake / "sessions_app_daily"
    link = {
        "workspace": table / "workspace=acme",
        "month": table / "workspace=acme" / "month=2026-11-01",
        "file": table / "workspace=acme" / "month=2026-11-01" / "data.parquet",
        "table": table,
        "dangling": table / "workspace=acme" / "month=2026-10-01",
    }[place]
    elsewhere = tmp_path / "elsewhere"
    link.rename(elsewhere)
    link.symlink_to(tmp_path / "nowhere" if place == "dangling" else elsewhere)
    for result in (sql(copied, "SELECT 1"), ddl(copied, "duckdb"), ddl(copied, "spark")):
        assert (result.exit_code, len(result.stderr.splitlines())) == (5, 1)
        assert f"real/{link.relative_to(copied.lake)} is a symbolic link to {link.readlink()}" in result.stderr
        assert result.stdout == ""


def test_an_error_is_one_line_and_exit_2(night: Night, tmp_path: Path) -> None:
    """An invalid statement, too many results, or a file that cannot be written: one line each, exit code 2."""
    for arguments, part in (
        (["SELEC 1"], "syntax error"),
        (["SELECT nope FROM app_days"], "nope"),
        (["FROM app_dayz"], "Did you mean"),
        (["FROM night"], "does not exist"),
        (["FROM 'absent.csv'"], "by their names"),
        (["SELECT 1; SELECT 2", "--format", "csv"], "2 results"),
        (["SELECT 1", "--output", str(tmp_path / "no" / "folder")], "No such file"),
    ):
        refused = sql(night, *arguments)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1), arguments
        assert part in refused.stderr
        assert refused.stderr.startswith("collector: ")


def zero_a_page(file: Path) -> None:
    """Zero bytes within the first column chunk."""
    content = bytearray(file.read_bytes())
    content[30:60] = bytes(30)
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"PAR1" + bytes(20) + b"PAR1"),
        lambda file: file.write_bytes(file.read_bytes()[:100]),
        lambda file: file.write_bytes(b""),
        zero_a_page,
        lambda file: pq.write_table(pa.table({"unknown": [1]}), file),
        lambda file: pq.write_table(pq.ParquetFile(file).read().drop_columns("app"), file),
        lambda file: pq.write_table(pq.ParquetFile(file).read().set_column(2, "date", [["2026-11-01"] * 14]), file),
    ],
    ids=["no footer", "truncated", "empty", "page zeroed", "other columns", "column missing", "other type"],
)
def test_a_damaged_file_is_an_error_of_the_lake(daily: Night, damage: Callable[[Path], object]) -> None:
    """A file that is not what the collector wrote is named, with what to do; exit code 5, and no row is shown."""
    file = next(daily.lake.glob("sessions_app_daily/*/month=2026-11-01/data.parquet"))
    kept = file.read_bytes()
    try:
        damage(file)
        refused = sql(daily, "FROM app_days")
    finally:
        file.write_bytes(kept)
    assert (refused.exit_code, len(refused.stderr.splitlines()), refused.stdout) == (5, 1, "")
    assert str(file) in refused.stderr
    assert "collector repair" in refused.stderr


def test_a_folder_that_is_no_partition_is_an_error_of_the_lake(daily: Night) -> None:
    """A file in a folder such as `month=copy` is named by its table, with what to do; exit code 5."""
    table = daily.lake / "sessions_app_daily"
    folder = table / "workspace=acme" / "month=copy"
    shutil.copytree(table / "workspace=acme" / "month=2026-11-01", folder)
    refused = sql(daily, "SELECT 1")
    shutil.rmtree(folder)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (5, 1)
    assert str(table) in refused.stderr
    assert "collector repair --foreign" in refused.stderr


def test_a_statement_that_is_not_text_is_refused(daily: Night) -> None:
    """Bytes that are not UTF-8, such as those of a script saved as Latin-1: exit 2, in one line."""
    refused = sql(daily, "SELECT '\udcff' AS x")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "not valid UTF-8" in refused.stderr


@pytest.mark.parametrize(
    "path", ["month=2026-11-01/data (1).parquet", "month=2026-11-01/part-0.parquet", "month=2026-11-02/data.parquet"]
)
def test_a_copy_of_a_file_is_an_error_of_the_lake(daily: Night, path: str) -> None:
    """Rows of a copy, such as a synchronized folder makes, are not shown beside the file's own; exit code 5."""
    workspace = daily.lake / "sessions_app_daily" / "workspace=acme"
    copy = workspace / path
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(workspace / "month=2026-11-01" / "data.parquet", copy)
    refused = sql(daily, "SELECT count(*) FROM sessions_app_daily")
    copy.unlink()
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (5, 1)
    assert f"{copy} is not a file of the collector" in refused.stderr
    assert "collector repair --foreign" in refused.stderr


def test_a_file_of_another_place_is_an_error_of_the_lake(daily: Night) -> None:
    """A month's file in another month's folder is not shown as that month's rows; exit code 5."""
    workspace = daily.lake / "sessions_app_daily" / "workspace=acme"
    moved = workspace / "month=2026-08-01" / "data.parquet"
    moved.parent.mkdir()
    shutil.copy(workspace / "month=2026-11-01" / "data.parquet", moved)
    refused = sql(daily, "SELECT count(*) FROM sessions_app_daily")
    shutil.rmtree(moved.parent)
    assert refused.exit_code == 5
    assert (
        f"{moved} is damaged (it is the file of sessions_app_daily/workspace=acme/month=2026-11-01/" in refused.stderr
    )


def test_a_file_without_the_newest_columns_reads_as_null_there(daily: Night) -> None:
    """A file that an earlier version wrote lacks columns at the end of its table; that is no damage."""
    file = next(daily.lake.glob("sessions_app_daily/*/month=2026-11-01/data.parquet"))
    kept = file.read_bytes()
    try:
        pq.write_table(pq.ParquetFile(file).read().drop_columns("run_id"), file)
        answer = json.loads(
            sql(daily, "SELECT count(*) AS n, count(run_id) AS m FROM app_days", "--format=json").stdout
        )
    finally:
        file.write_bytes(kept)
    assert answer[0]["n"] > answer[0]["m"]


def test_a_session_sees_what_has_landed_since(daily: Night) -> None:
    """A prompt that is open during a run shows the new rows after it: no footer outlives its file."""
    file = next(daily.lake.glob("sessions_app_daily/*/month=2026-11-01/data.parquet"))
    kept, query = file.read_bytes(), "SELECT count(*) AS n, count(app) AS m FROM sessions_app_daily"
    try:
        with session(daily) as opened:
            before = next(opened.execute(query))["n"][0].as_py()
            rows = pq.ParquetFile(file).read()
            for part in (rows.slice(1), pa.concat_tables([rows] * 50)):
                replacement = file.with_name("next")
                pq.write_table(part, replacement, compression="none")
                replacement.replace(file)
                expected = before - len(rows) + len(part)
                assert next(opened.execute(query)).to_pylist() == [{"n": expected, "m": expected}]
    finally:
        file.write_bytes(kept)


def test_a_file_that_is_replaced_during_a_statement_is_reported(daily: Night) -> None:
    """Two scans of one statement never read two versions of a file: the second is an error, to be repeated."""

    class Replaced(RecordingStore):
        def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
            found = super().open(path)
            return None if found is None else (found[0], f"{found[1]} at its opening {len(self.opened)}")

    with Session(LakeLocation(str(daily.lake), (("acme", "UTC"),)), Replaced(daily.lake)) as opened:
        assert next(opened.execute("SELECT count(app) FROM sessions_app_daily"))
        with pytest.raises(LakeError, match=r"was replaced while it was being read: repeat the query"):
            list(opened.execute("SELECT count(app) FROM sessions_app_daily"))


def test_an_empty_lake_is_reported(tmp_path: Path) -> None:
    """In a lake without files, every table and view exists and is empty, and stderr says that the lake is empty."""
    night = Night(tmp_path, make_document("http://127.0.0.1:1", {"name": "acme"}))
    result = sql(night, "SELECT count(*) AS rows FROM app_segment_hours", "--format", "csv")
    assert (result.exit_code, result.stdout) == (0, "rows\n0\n")
    assert "is empty" in result.stderr
    assert not night.lake.exists()


def test_stdin_is_a_script(night: Night) -> None:
    """Without a statement, the statements on stdin are executed in order, up to the first error."""
    result = sql(night, stdin="SELECT 7 AS x; SELECT 8 AS y;")
    assert (result.exit_code, result.stdout) == (0, "x\n-\n7\n(1 row)\ny\n-\n8\n(1 row)\n")
    cut = sql(night, stdin="SELECT 1 AS x; SELECT nope; SELECT 2 AS y;")
    assert (cut.exit_code, "y" in cut.stdout) == (2, False)


def test_the_prompt_continues_after_errors(night: Night) -> None:
    """The prompt takes statements of several lines, .tables and .quit; an error does not end it."""
    command = [sys.executable, "-m", "collector", "-c", str(night.config), "sql"]
    typed = [b"SELEC 1;\n", b".tables\n", b".nonsense\n", b"SELECT 40 +\n", b"2 AS answer;\n", b".quit\n"]
    code, output = on_a_terminal(command, typed)
    assert code == 0
    assert "syntax error" in output
    assert "sessions_app_daily" in output
    assert output.count(".quit or Ctrl-D") == 2
    assert "42" in output.partition("answer\r\n")[2]


def test_parquet_is_not_written_to_a_terminal(night: Night) -> None:
    """Without --output, Parquet on a terminal is refused with exit code 2."""
    command = [sys.executable, "-m", "collector", "-c", str(night.config), "sql", "SELECT 1", "--format", "parquet"]
    code, output = on_a_terminal(command, [])
    assert (code, "--output" in output) == (2, True)


def test_ctrl_c_drops_the_line_and_ctrl_d_leaves(night: Night) -> None:
    """Ctrl-C drops what was typed and keeps the prompt; Ctrl-D leaves it with exit code 0."""
    command = [sys.executable, "-m", "collector", "-c", str(night.config), "sql"]
    code, output = on_a_terminal(command, [b"SELECT 1 AS\n", CTRL_C, b"SELECT 2 AS two;\n", CTRL_D])
    assert code == 0
    assert "(1 row)" in output
    assert "rror" not in output


def test_without_duckdb_the_extra_is_named(night: Night) -> None:
    """Where DuckDB is not installed, `sql` exits with 2 and says what works, and nothing under this package's name."""
    program = "import sys; sys.modules['duckdb'] = None; from collector.__main__ import main; main()"
    command = [sys.executable, "-c", program, "-c", str(night.config), "sql", "SELECT 1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "make setup EXTRA='[sql]'" in done.stderr
    assert f"{sys.executable} -m pip install duckdb" in done.stderr
    assert "braze-session-collector" not in done.stderr


class RecordingStore(LocalStore):
    """A lake that is read through the store, as one in a bucket is; it records which files are opened."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "_collector")
        self.opened: list[str] = []

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """Read the file at once, into memory."""
        self.opened.append(path)
        found = super().open(path)
        if found is None:
            return None
        with found[0] as source:
            return pa.BufferReader(source.read()), found[1]


def test_a_lake_in_a_store_gives_the_same_results_as_a_folder(night: Night) -> None:
    """Results through the store are the same; a filter on month does not open files of other months."""
    store = RecordingStore(night.lake)
    zones = (("acme", "America/New_York"), ("globex", "Asia/Tokyo"))
    all_rows = "SELECT * FROM app_segment_hours ORDER BY ALL"
    one_month = "SELECT sum(sessions) FROM app_hours WHERE month = DATE '2026-10-01'"
    with (
        Session(LakeLocation("memory://lake", zones), store) as through_store,
        Session(LakeLocation(str(night.lake), zones), LocalStore(night.lake, "_collector")) as in_folder,
    ):
        assert next(through_store.execute(all_rows)).equals(next(in_folder.execute(all_rows)))
        store.opened.clear()
        assert next(through_store.execute(one_month)).equals(next(in_folder.execute(one_month)))
    hourly = {path for path in store.opened if path.startswith("sessions_app_hourly")}
    assert hourly == {
        f"sessions_app_hourly/workspace={name}/month=2026-10-01/data.parquet" for name in ("acme", "globex")
    }


@pytest.mark.parametrize("reason", ["gone", "refused"])
def test_a_file_that_cannot_be_read_is_reported(night: Night, reason: str) -> None:
    """A file that was removed, or that the store refuses, is an error without a partial result; the session goes on."""

    class Failing(RecordingStore):
        failing = False

        def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
            if self.failing and reason == "refused":
                raise LakeError(f"cannot read {path}: the store answered 503. Then repeat the query")
            return None if self.failing else super().open(path)

    store = Failing(night.lake)
    with Session(LakeLocation("memory://lake", (("acme", "UTC"),)), store) as session:
        for _ in range(REPETITIONS):
            store.failing = True
            # The store's own advice, and no other.
            with pytest.raises(LakeError, match=r"repeat the query$"):
                list(session.execute("SELECT * FROM app_segment_hours"))
            store.failing = False
            assert next(session.execute("FROM coverage")).num_rows
