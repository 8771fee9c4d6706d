from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from collector.cli.main import cli
from collector.lake.local import LocalStore
from collector.lake.store import LakeError
from collector.lake.tables import TABLES
from collector.query.engines.engine import LakeLocation, absent_tables
from collector.query.session import Session
from tests.query.terminal import CTRL_C, CTRL_D, on_a_terminal
from tests.support.builders import NOW
from tests.support.night import Night, make_document
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.store import Version

REPETITIONS = 20
"""A failing scan must not deadlock. That depends on the timing of threads, so it is tried more than once."""
WITHOUT_KEYS = {"KEY_ACME": None, "KEY_GLOBEX": None}


def sql(night: Night, *arguments: str, stdin: str = "") -> Result:
    """Run `collector sql` in this process, without API keys."""
    return CliRunner().invoke(cli, ["-c", str(night.config), "sql", *arguments], input=stdin, env=WITHOUT_KEYS)


def test_every_table_and_view_can_be_queried(night: Night) -> None:
    """All eleven tables and eleven views can be queried by their names."""
    names = [row["name"] for row in json.loads(sql(night, "SHOW TABLES", "--format", "json").stdout)]
    assert len(names) == 23
    assert {table.name for table in TABLES} <= set(names)
    for name in names:
        assert sql(night, f"SELECT count(*) FROM {name}").exit_code == 0, name


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


def test_statements_that_write_are_refused(night: Night, tmp_path: Path) -> None:
    """A statement that writes is refused with exit code 2, also within EXPLAIN ANALYZE; no byte of the lake changes."""
    before = night.bytes()
    file = tmp_path / "copied.csv"
    for statement in (
        f"COPY (SELECT 1) TO '{file}'",
        f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
        f"explain (analyze, format json) COPY (SELECT 1) TO '{file}'",
        f"/* a comment */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
        f"ATTACH '{tmp_path / 'other.db'}'",
        f"EXPORT DATABASE '{tmp_path / 'all'}'",
        "CREATE TABLE mine AS SELECT 1",
        "DELETE FROM app_days",
        "INSTALL httpfs",
        f"SELECT 1; COPY (SELECT 1) TO '{file}'",
    ):
        refused = sql(night, statement)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1), statement
    assert list(tmp_path.iterdir()) == []
    assert night.bytes() == before


def test_an_error_is_one_line_and_exit_2(night: Night, tmp_path: Path) -> None:
    """An invalid statement, too many results, or a file that cannot be written: one line each, exit code 2."""
    for arguments, part in (
        (["SELEC 1"], "syntax error"),
        (["SELECT nope FROM app_days"], "nope"),
        (["FROM app_dayz"], "Did you mean"),
        (["FROM night"], "does not exist"),
        (["FROM 'absent.csv'"], "absent.csv"),
        (["SELECT 1; SELECT 2", "--format", "csv"], "2 results"),
        (["SELECT 1", "--output", str(tmp_path / "no" / "folder")], "No such file"),
    ):
        refused = sql(night, *arguments)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1), arguments
        assert part in refused.stderr
        assert refused.stderr.startswith("collector: ")


def test_a_damaged_file_is_an_error_of_the_lake(tmp_path: Path) -> None:
    """A file of the lake that cannot be read is named, and the exit code is 5."""
    env = Site(tmp_path, {"name": "acme"}, units=["day"])
    with env.served():
        env.night.run(NOW)
    file = next(env.night.lake.glob("sessions_app_daily/*/*/data.parquet"))
    file.write_bytes(b"PAR1" + bytes(20) + b"PAR1")
    refused = sql(env.night, "FROM app_days")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (5, 1)
    assert str(file) in refused.stderr


def test_an_empty_lake_is_reported(tmp_path: Path) -> None:
    """In a lake without files, every table and view exists and is empty, and stderr says that the lake is empty."""
    night = Night(tmp_path, make_document("http://127.0.0.1:1", {"name": "acme"}))
    result = sql(night, "SELECT count(*) AS rows FROM app_segment_hours", "--format", "csv")
    assert (result.exit_code, result.stdout) == (0, "rows\n0\n")
    assert "is empty" in result.stderr
    assert not night.lake.exists()


def test_stdin_is_a_script(night: Night) -> None:
    """Without a statement, the statements on stdin are executed in order, up to the first error."""
    result = sql(night, stdin="SET VARIABLE x = 7; SELECT getvariable('x') AS x; SELECT 8 AS y;")
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
    """Where DuckDB is not installed, `sql` names the extra to install and exits with 2."""
    program = "import sys; sys.modules['duckdb'] = None; from collector.__main__ import main; main()"
    command = [sys.executable, "-c", program, "-c", str(night.config), "sql", "SELECT 1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "pip install duckdb" in done.stderr) == (2, True)
    assert len(done.stderr.splitlines()) == 1


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
        Session(LakeLocation(str(night.lake), zones, absent_tables(store)), store) as in_folder,
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
            with pytest.raises(LakeError, match="repeat the query"):
                list(session.execute("SELECT * FROM app_segment_hours"))
            store.failing = False
            assert next(session.execute("FROM coverage")).num_rows
