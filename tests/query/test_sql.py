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
from tests.night import Night, make_document
from tests.query.terminal import CTRL_C, CTRL_D, on_a_terminal
from tests.test_night import EVENING, World

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.store import Version

ASKED_AGAIN = 20
"""A scan that fails at once must not wait for itself, which is a matter of threads: more than one try."""
WITHOUT_KEYS = {"KEY_ACME": None, "KEY_GLOBEX": None}


def sql(night: Night, *arguments: str, stdin: str = "") -> Result:
    """Run `collector sql` in this process, without any key."""
    return CliRunner().invoke(cli, ["-c", str(night.config), "sql", *arguments], input=stdin, env=WITHOUT_KEYS)


def test_every_table_and_view_is_there_by_name(night: Night) -> None:
    """All eleven tables and eleven views can be queried, and .tables lists them with what a row is."""
    names = [row["name"] for row in json.loads(sql(night, "SHOW TABLES", "--format", "json").stdout)]
    assert len(names) == 22
    assert {table.name for table in TABLES} <= set(names)
    for name in names:
        assert sql(night, f"SELECT count(*) FROM {name}").exit_code == 0, name


def test_tables_hold_what_the_lake_holds(night: Night) -> None:
    """A table's rows are the lake's, with workspace and month as columns."""
    query = "SELECT workspace, app_id, date, sessions, month FROM {} ORDER BY ALL"
    shown = json.loads(sql(night, query.format("sessions_app_daily"), "--format", "json").stdout)
    there = night.query(query.format("{sessions_app_daily}"))
    assert [tuple(row.values()) for row in shown] == [(*row[:2], str(row[2]), row[3], str(row[4])) for row in there]


def test_formats_say_the_same(night: Night, tmp_path: Path) -> None:
    """Table, CSV, JSON and Parquet hold the same rows; instants are ISO 8601 in UTC; a sum of counts is an integer."""
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
    """When clocks go back, one local hour is there twice, its UTC hours once each, and days have their ISO week."""
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
    """After an app and a segment were renamed, all their rows bear the new names in the views."""
    segments = [{"name": "vip", "id": "id-vip"}]
    env = World(tmp_path, {"name": "acme", "segments": segments}, start="2026-11-10", units=["day"])
    with env.served():
        assert env.night.run(EVENING).exit_code == 0
        workspace = env.night.document["workspaces"][0]
        workspace["apps"][0]["name"], workspace["segments"][0]["name"] = "iphone", "loyal"
        env.night.write()
        env.simulation.now = EVENING + timedelta(days=1)
        assert env.night.run(EVENING + timedelta(days=1)).exit_code == 0
    query = "SELECT DISTINCT app, segment FROM {} ORDER BY ALL"
    new = sql(env.night, query.format("app_segment_days"), "--format", "csv").stdout.splitlines()
    old = sql(env.night, query.format("sessions_app_segment_daily"), "--format", "csv").stdout.splitlines()
    assert new == ["app,segment", "iphone,loyal"]
    assert set(old) == {"app,segment", "ios,vip", "iphone,loyal"}


def test_nothing_is_ever_written(night: Night, tmp_path: Path) -> None:
    """Whatever writes is refused with exit 2, within EXPLAIN ANALYZE too, and not a byte of the lake changes."""
    before = night.bytes()
    file = tmp_path / "copied.csv"
    for statement in (
        f"COPY (SELECT 1) TO '{file}'",
        f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
        f"explain (analyze, format json) COPY (SELECT 1) TO '{file}'",
        f"/* a remark */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
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
    """A statement that DuckDB refuses, an answer with no room, a file that cannot be written: a line each, exit 2."""
    for arguments, said in (
        (["SELEC 1"], "syntax error"),
        (["SELECT nope FROM app_days"], "nope"),
        (["FROM app_dayz"], "Did you mean"),
        (["FROM night"], "does not exist"),
        (["FROM 'absent.csv'"], "absent.csv"),
        (["SELECT 1; SELECT 2", "--format", "csv"], "2 answers"),
        (["SELECT 1", "--output", str(tmp_path / "no" / "folder")], "No such file"),
    ):
        refused = sql(night, *arguments)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1), arguments
        assert said in refused.stderr
        assert refused.stderr.startswith("collector: ")


def test_a_damaged_file_is_the_lakes_fault(tmp_path: Path) -> None:
    """A file of the lake that cannot be read is named, and the exit code is 5."""
    env = World(tmp_path, {"name": "acme"}, units=["day"])
    with env.served():
        env.night.run(EVENING)
    file = next(env.night.lake.glob("sessions_app_daily/*/*/data.parquet"))
    file.write_bytes(b"PAR1" + bytes(20) + b"PAR1")
    refused = sql(env.night, "FROM app_days")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (5, 1)
    assert str(file) in refused.stderr


def test_a_lake_without_a_file_says_so(tmp_path: Path) -> None:
    """On a lake that nothing was collected into, every table and view is there, empty, and stderr tells why."""
    night = Night(tmp_path, make_document("http://127.0.0.1:1", {"name": "acme"}))
    result = sql(night, "SELECT count(*) AS rows FROM app_segment_hours", "--format", "csv")
    assert (result.exit_code, result.stdout) == (0, "rows\n0\n")
    assert "is empty" in result.stderr
    assert not night.lake.exists()


def test_stdin_is_a_script(night: Night) -> None:
    """Without a statement, what stdin holds is carried out in order, up to the first error."""
    done = sql(night, stdin="SET VARIABLE x = 7; SELECT getvariable('x') AS x; SELECT 8 AS y;")
    assert (done.exit_code, done.stdout) == (0, "x\n-\n7\n(1 row)\ny\n-\n8\n(1 row)\n")
    cut = sql(night, stdin="SELECT 1 AS x; SELECT nope; SELECT 2 AS y;")
    assert (cut.exit_code, "y" in cut.stdout) == (2, False)


def test_the_prompt_survives_errors(night: Night) -> None:
    """On a terminal: statements over several lines, .tables, an error that does not end it, .quit; and no Parquet."""
    command = [sys.executable, "-m", "collector", "-c", str(night.config), "sql"]
    typed = [b"SELEC 1;\n", b".tables\n", b".nonsense\n", b"SELECT 40 +\n", b"2 AS answer;\n", b".quit\n"]
    code, shown = on_a_terminal(command, typed)
    assert code == 0
    assert "syntax error" in shown
    assert "sessions_app_daily" in shown
    assert shown.count(".quit, or Ctrl-D, leaves") == 2
    assert "42" in shown.partition("answer\r\n")[2]
    refused, said = on_a_terminal([*command, "SELECT 1", "--format", "parquet"], [])
    assert (refused, "--output" in said) == (2, True)


def test_ctrl_c_drops_a_line_and_ctrl_d_ends(night: Night) -> None:
    """What was typed before Ctrl-C is forgotten, and the prompt goes on; Ctrl-D leaves it with exit 0."""
    command = [sys.executable, "-m", "collector", "-c", str(night.config), "sql"]
    code, shown = on_a_terminal(command, [b"SELECT 1 AS\n", CTRL_C, b"SELECT 2 AS two;\n", CTRL_D])
    assert code == 0
    assert "(1 row)" in shown
    assert "rror" not in shown


def test_without_duckdb_the_extra_is_named(night: Night) -> None:
    """Where DuckDB is not installed, `sql` says which extra brings it, and exits with 2."""
    program = "import sys; sys.modules['duckdb'] = None; from collector.__main__ import main; main()"
    command = [sys.executable, "-c", program, "-c", str(night.config), "sql", "SELECT 1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "braze-session-collector[sql]" in done.stderr) == (2, True)
    assert len(done.stderr.splitlines()) == 1


class InMemory(LocalStore):
    """A lake that is no folder to its readers, and counts what they open."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "_collector")
        self.opened: list[str] = []

    def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
        """Read at once, as bytes."""
        self.opened.append(path)
        found = super().open(path)
        if found is None:
            return None
        with found[0] as source:
            return pa.BufferReader(source.read()), found[1]


def test_a_lake_in_a_store_answers_as_a_folder_does(night: Night) -> None:
    """Through the store: the same answers; a filter on month leaves other months' files unopened."""
    store = InMemory(night.lake)
    zones = (("acme", "America/New_York"), ("globex", "Asia/Tokyo"))
    whole = "SELECT * FROM app_segment_hours ORDER BY ALL"
    narrow = "SELECT sum(sessions) FROM app_hours WHERE month = DATE '2026-10-01'"
    with (
        Session(LakeLocation("memory://lake", zones), store) as ours,
        Session(LakeLocation(str(night.lake), zones, absent_tables(store)), store) as folders,
    ):
        assert next(ours.answers(whole)).equals(next(folders.answers(whole)))
        store.opened.clear()
        assert next(ours.answers(narrow)).equals(next(folders.answers(narrow)))
    hourly = {path for path in store.opened if path.startswith("sessions_app_hourly")}
    assert hourly == {
        f"sessions_app_hourly/workspace={name}/month=2026-10-01/data.parquet" for name in ("acme", "globex")
    }


@pytest.mark.parametrize("reason", ["gone", "refused"])
def test_a_file_that_cannot_be_read_is_told(night: Night, reason: str) -> None:
    """Gone between listing and reading, or refused by the store: a plain error, no half answer; then it goes on."""

    class Failing(InMemory):
        failing = False

        def open(self, path: str) -> tuple[pa.NativeFile, Version] | None:
            if self.failing and reason == "refused":
                raise LakeError(f"cannot read {path}: the store answered 503. Then repeat the query")
            return None if self.failing else super().open(path)

    store = Failing(night.lake)
    with Session(LakeLocation("memory://lake", (("acme", "UTC"),)), store) as session:
        for _ in range(ASKED_AGAIN):
            store.failing = True
            with pytest.raises(LakeError, match="repeat the query"):
                list(session.answers("SELECT * FROM app_segment_hours"))
            store.failing = False
            assert next(session.answers("FROM coverage")).num_rows
