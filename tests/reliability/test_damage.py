from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.clock import SystemClock
from collector.lake.lease import WorkspaceLock
from collector.lake.local import LocalStore
from collector.lake.process import ProcessIdentity
from tests.support.crash_test import CrashPlan, CrashTest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DATA = "sessions_app_segment_hourly/workspace=acme/month=2026-10-01/data.parquet"
RESTATEMENTS = "restatements/workspace=acme/month=2026-10-01/data.parquet"
COVERAGE = "coverage/workspace=acme/data.parquet"


@pytest.fixture
def crash_test(tmp_path: Path) -> Iterator[CrashTest]:
    """A lake after two nights, the second with restatements; a third is due."""
    crash_test, chance = CrashTest(tmp_path, scopes=["app_segment"]), Random(0)  # noqa: S311
    with crash_test.served():
        for _ in range(2):
            assert crash_test.run().exit_code == 0
            crash_test.wait(hours=7)
            crash_test.change(chance)
        yield crash_test


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def zeroed(file: Path) -> None:
    """As some file systems do after a crash: the length is correct, the content is zeros."""
    file.write_bytes(bytes(file.stat().st_size))


def zeroed_inside(file: Path) -> None:
    """The footer is correct; a page does not match its checksum."""
    data = bytearray(file.read_bytes())
    data[60:90] = bytes(30)
    file.write_bytes(data)


def of_another_schema(file: Path) -> None:
    pq.write_table(pa.table({"sessions": ["many"]}), file)


def of_another_type(file: Path) -> None:
    rows = pq.ParquetFile(file).read()
    pq.write_table(rows.set_column(rows.column_names.index("app_id"), "app_id", pa.nulls(rows.num_rows)), file)


def of_another_month(file: Path) -> None:
    """A valid file, restored to the wrong place."""
    rows = pq.ParquetFile(file).read()
    late = pa.array([datetime(2026, 12, 1, tzinfo=UTC)] * rows.num_rows, pa.timestamp("us", "UTC"))
    pq.write_table(rows.set_column(rows.column_names.index("hour"), "hour", late), file)


DAMAGES = [cut, emptied, zeroed, zeroed_inside, of_another_schema, of_another_type]


@pytest.mark.parametrize(
    ("damage", "path"), [*((damage, DATA) for damage in DAMAGES), (cut, RESTATEMENTS), (of_another_type, RESTATEMENTS)]
)
def test_a_damaged_file_is_named_and_never_overwritten(
    crash_test: CrashTest, damage: Callable[[Path], None], path: str
) -> None:
    """A run exits with 5 and names the file; `repair` quarantines it; the next run fetches its data again."""
    file = crash_test.night.lake / path
    damage(file)
    left = file.read_bytes()
    met = crash_test.night.run(crash_test.now)
    assert (met.exit_code, f"{path} is damaged" in met.stderr) == (5, True), met.stderr
    assert "collector repair" in met.stderr
    assert file.read_bytes() == left

    (found,) = check_repair(crash_test)
    assert (found["path"], found["moved_to"]) == (path, f"_collector/acme/quarantine/{path}")
    assert (crash_test.night.lake / found["moved_to"]).read_bytes() == left
    assert ("restatements" in found["then"]) == (path == RESTATEMENTS)
    assert crash_test.night.run(crash_test.now).exit_code == 0
    crash_test.ledger.check_converged(crash_test.ledger.check_readable(), crash_test.now)


def test_a_file_with_rows_of_another_month_is_damaged(crash_test: CrashTest) -> None:
    """A valid file in another's place is found, and the data that belongs there is fetched again."""
    of_another_month(crash_test.night.lake / DATA)
    (found,) = check_repair(crash_test)
    assert "2026-12-01" in found["reason"]
    assert crash_test.night.run(crash_test.now).exit_code == 0
    crash_test.ledger.check_converged(crash_test.ledger.check_readable(), crash_test.now)


def doubled(file: Path) -> None:
    rows = pq.ParquetFile(file).read()
    pq.write_table(pa.concat_tables([rows, rows]), file)


def shuffled(file: Path) -> None:
    rows = pq.ParquetFile(file).read()
    pq.write_table(rows.take(list(range(rows.num_rows))[::-1]), file)


def of_another_place(file: Path) -> None:
    """The file of another workspace, or table: its columns and its month are right."""
    rows = pq.ParquetFile(file)
    pairs = {name.decode(): text.decode() for name, text in rows.metadata.metadata.items() if b"ARROW" not in name}
    with pq.ParquetWriter(file.with_suffix(".new"), rows.schema_arrow) as writer:
        writer.write_table(rows.read())
        writer.add_key_value_metadata(pairs | {"collector.partition": DATA.replace("=acme", "=other")})
    file.with_suffix(".new").replace(file)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (of_another_month, "rows of 2026-12-01"),
        (doubled, "is there twice"),
        (shuffled, "not in order"),
        (of_another_place, "workspace=other"),
    ],
)
def test_rows_that_are_not_the_partition_s_are_refused(
    crash_test: CrashTest, damage: Callable[[Path], None], reason: str
) -> None:
    """A complete file with other rows in a file's place is not merged into: exit 5, until `repair` quarantines it."""
    damage(crash_test.night.lake / DATA)
    refused = crash_test.night.run(crash_test.now)
    assert refused.exit_code == 5
    assert f"{DATA} is damaged" in refused.stderr
    assert reason in refused.stderr
    check_repair(crash_test)
    assert crash_test.night.run(crash_test.now).exit_code == 0
    crash_test.ledger.check_converged(crash_test.ledger.check_readable(), crash_test.now)


@pytest.mark.parametrize("month", ["2026-13-01", "0000-01-01", "2026-10-02", "2026-10", "copy"])
def test_a_folder_that_is_no_month_is_foreign(crash_test: CrashTest, month: str) -> None:
    """A month's folder that was renamed to what is no month is fetched again, and `repair --foreign` removes it."""
    folder = (crash_test.night.lake / DATA).parent
    folder.rename(folder.with_name(f"month={month}"))
    assert crash_test.night.run(crash_test.now).exit_code == 0
    assert crash_test.night.call("repair", "--foreign").exit_code == 0
    crash_test.ledger.check_converged(crash_test.ledger.check_readable(), crash_test.now)


def test_a_file_damaged_twice_is_kept_twice(crash_test: CrashTest) -> None:
    """A quarantined file is never overwritten by one that is quarantined later."""
    for _ in range(2):
        cut(crash_test.night.lake / DATA)
        check_repair(crash_test)
        assert crash_test.night.run(crash_test.now).exit_code == 0
    kept = {path for path in crash_test.night.bytes() if "/quarantine/" in path}
    assert kept == {f"_collector/acme/quarantine/{DATA}", f"_collector/acme/quarantine/{DATA}.2"}


def test_a_damaged_log_loses_only_the_log(crash_test: CrashTest) -> None:
    """Nothing is requested again, and no count is lost."""
    crash_test.run()
    log = next((crash_test.night.lake / "collection_log").rglob("*.parquet"))
    cut(log)
    (found,) = check_repair(crash_test)
    assert (found["kind"], found["path"]) == ("log", str(log.relative_to(crash_test.night.lake)))
    assert crash_test.night.run(crash_test.now).report["requests"] == 0
    crash_test.check_lake(converged=True)


@pytest.mark.parametrize("damage", [zeroed, zeroed_inside, of_another_schema, lambda file: file.unlink()])
def test_lost_coverage_costs_requests_and_no_data(crash_test: CrashTest, damage: Callable[[Path], None]) -> None:
    """Without a repair, the run requests everything again, and restates only what has changed."""
    crash_test.run()
    before = crash_test.night.query("SELECT count(*) FROM {restatements}")
    damage(crash_test.night.lake / COVERAGE)
    again = crash_test.night.run(crash_test.now)
    assert (again.exit_code, again.report["requests"] > 0) == (0, True)
    assert (again.report["rows_added"], again.report["rows_restated"]) == (0, 0)
    assert crash_test.night.query("SELECT count(*) FROM {restatements}") == before
    crash_test.check_lake(converged=True)
    assert crash_test.night.run(crash_test.now).report["requests"] == 0


@pytest.mark.parametrize(("damage", "repaired"), [(cut, False), (zeroed_inside, False), (of_another_schema, True)])
def test_a_damaged_journal_is_requested_again(
    crash_test: CrashTest, damage: Callable[[Path], None], repaired: bool
) -> None:
    """Found by a run or by a repair: that entry is quarantined and requested again, and the others are landed."""
    assert crash_test.run_crashing(CrashPlan(at=4, effects=("rename",), limits={"flush_points": 1})).killed
    first, _ = sorted((crash_test.night.lake / "_collector/acme/journal").rglob("*.parquet"))
    damage(first)
    if repaired:
        (found,) = check_repair(crash_test)
        assert found["kind"] == "journal"
    outcome = crash_test.night.run(crash_test.now)
    assert (outcome.exit_code, outcome.report["requests"] > 0) == (0, True)
    assert any(
        path.startswith("_collector/acme/quarantine/_collector/acme/journal") for path in crash_test.night.bytes()
    )
    crash_test.check_lake(converged=True)


def test_a_data_file_restored_from_a_backup_is_fetched_again(crash_test: CrashTest) -> None:
    """Coverage is valid only for the version it recorded: an older file invalidates it, and so does a missing one."""
    backup = crash_test.night.folder / "backup.parquet"
    shutil.copy2(crash_test.night.lake / DATA, backup)
    assert crash_test.run().exit_code == 0
    shutil.copy2(backup, crash_test.night.lake / DATA)
    put_back = crash_test.night.run(crash_test.now)
    assert (put_back.exit_code, put_back.report["rows_restated"] > 0) == (0, True)
    crash_test.ledger.check_converged(crash_test.ledger.check_readable(), crash_test.now)
    (crash_test.night.lake / DATA).unlink()
    gone = crash_test.night.run(crash_test.now)
    assert (gone.exit_code, gone.report["rows_added"] > 0) == (0, True)
    crash_test.ledger.check_converged(crash_test.ledger.check_readable(), crash_test.now)


def test_a_copied_lake_stays_covered(crash_test: CrashTest) -> None:
    """New inodes and times cause no requests: a file is identified by the landing that wrote it."""
    crash_test.run()
    shutil.copytree(crash_test.night.lake, crash_test.night.folder / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(crash_test.night.lake)
    (crash_test.night.folder / "copy").rename(crash_test.night.lake)
    again = crash_test.night.run(crash_test.now)
    assert (again.exit_code, again.report["requests"], again.report["files_written"]) == (0, 0, 0)
    crash_test.wait(hours=7)
    assert crash_test.run().exit_code == 0
    crash_test.check_lake(converged=True)


@pytest.mark.parametrize(("layout", "advice"), [(3, "Upgrade the collector"), (1, "Collect into a new lake")])
@pytest.mark.parametrize("command", ["run", "plan", "repair"])
def test_a_lake_of_another_layout_is_refused(crash_test: CrashTest, command: str, layout: int, advice: str) -> None:
    """The collector neither reads nor writes it: exit 2, what to do, and no byte changes."""
    metadata = crash_test.night.lake / "_collector/acme/workspace.json"
    metadata.write_text(json.dumps({"schema_version": layout, "timezone": "America/New_York"}))
    before = crash_test.night.bytes()
    outcome = crash_test.night.call(command)
    assert (outcome.exit_code, advice in outcome.stderr) == (2, True)
    assert crash_test.night.bytes() == before


def test_a_dry_repair_changes_nothing(crash_test: CrashTest) -> None:
    """It names the damaged files, exits with 5, and takes no lock."""
    cut(crash_test.night.lake / DATA)
    before = crash_test.night.bytes()
    outcome = crash_test.night.call("repair", "--dry-run", "--json")
    assert outcome.exit_code == outcome.report["exit_code"] == 5
    (found,) = outcome.report["workspaces"][0]["found"]
    assert (found["path"], found["moved_to"]) == (DATA, None)
    assert DATA in outcome.stderr
    assert crash_test.night.bytes() == before


def test_foreign_files_are_named_and_moved_with_an_option(crash_test: CrashTest) -> None:
    """Foreign files in a table are named; --foreign moves them; files that belong to no workspace are left in place."""
    crash_test.run()
    folder = crash_test.night.lake / DATA
    foreign = {folder.with_name("x.parquet.tmp"), folder.with_name("_SUCCESS"), folder.parents[1] / "data.parquet"}
    stray = crash_test.night.lake / "sessions_app_segment_daily/_SUCCESS"
    for file in (*foreign, stray):
        file.write_text("theirs")
    named = crash_test.night.call("repair", "--json")
    assert named.exit_code == 5
    assert {found["path"] for found in named.report["workspaces"][0]["found"]} == {
        str(file.relative_to(crash_test.night.lake)) for file in foreign
    }
    assert named.report["strays"] == [str(stray.relative_to(crash_test.night.lake))]
    assert all(file.exists() for file in foreign)
    assert crash_test.night.call("repair", "--foreign").exit_code == 5
    assert (stray.exists(), any(file.exists() for file in foreign)) == (True, False)
    stray.unlink()
    assert crash_test.night.call("repair").exit_code == 0
    crash_test.check_lake(converged=True)


def test_a_repair_does_not_wait_for_a_run(crash_test: CrashTest) -> None:
    """If another run has locked the workspace: exit 4, with its pid and host, and nothing is moved."""
    cut(crash_test.night.lake / DATA)
    store = LocalStore(crash_test.night.lake, "_collector/acme")
    WorkspaceLock(store, "acme", SystemClock(), "a-run", ProcessIdentity(4711, "another-host", "1")).acquire()
    before = crash_test.night.bytes()
    busy = crash_test.night.call("repair", "--json")
    assert (busy.exit_code, "pid 4711 on another-host" in busy.stderr) == (4, True)
    assert crash_test.night.bytes() == before


def check_repair(crash_test: CrashTest) -> list[dict[str, str]]:
    """Repair; a second repair confirms that all remaining files are sound. Returns what was found."""
    outcome = crash_test.night.call("repair", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert crash_test.night.call("repair", "--json").report["workspaces"][0]["found"] == []
    assert not (crash_test.night.lake / "_collector/acme/lock.json").exists()
    found: list[dict[str, str]] = outcome.report["workspaces"][0]["found"]
    return found
