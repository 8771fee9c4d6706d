from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support.crash_test import CrashPlan, CrashTest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAINS = 2
STRIDE = int(os.environ.get("STRIDE", "2"))
"""Each STRIDE-th step is tried. 2 tries writes, flushes and renames in turn, and each file of a landing."""

ORDER = ("restatements", "sessions", "coverage", "collection_log")


@pytest.mark.parametrize("chain", range(CHAINS))
def test_a_disk_that_fails_at_any_write_leaves_a_usable_lake(tmp_path: Path, chain: int) -> None:
    """EIO at each write, fsync and rename in turn: exit 5 names the file, and the next run converges.

    The changed files are the first ones of a landing, each complete, and each restatement is recorded once.
    """
    crash_test, chance = CrashTest(tmp_path, scopes=["app_segment"], units=["day"]), Random(chain)  # noqa: S311
    with crash_test.served():
        crash_test.run()
        for step in range(1 + chain * STRIDE, 200, CHAINS * STRIDE):
            crash_test.wait(hours=7)
            crash_test.change(chance)
            before = table_bytes(crash_test)
            end = crash_test.run_crashing(CrashPlan(at=step, errno=errno.EIO, effects=("write", "fsync", "rename")))
            if len(end.steps) < step:
                break
            check_reported(crash_test, end.exit_code, end.stderr, end.steps[step - 1], "Input/output error")
            crash_test.ledger.check_readable()
            after = table_bytes(crash_test)
            assert crash_test.run().exit_code == 0
            check_in_order(before, after, table_bytes(crash_test))
            crash_test.check_lake(converged=True)
            assert not list((crash_test.night.lake / "_collector/acme/staging").iterdir())
        assert end.exit_code == 0
        assert step > 20


def test_a_disk_that_cannot_be_read_is_not_damage(tmp_path: Path) -> None:
    """EIO at reads, with a pending journal: exit 5 names the file; nothing is quarantined, lost or recorded twice."""
    crash_test, failed = CrashTest(tmp_path, scopes=["app"], units=["day"]), 0
    left = tmp_path / "left"
    with crash_test.served():
        crash_test.run()
        crash_test.wait(hours=7)
        crash_test.change(Random(0))  # noqa: S311
        assert crash_test.run_crashing(CrashPlan(at=3, effects=("rename",))).killed
        shutil.copytree(crash_test.night.lake, left)
        for step in range(2, 100, 3):
            end = crash_test.run_crashing(CrashPlan(at=step, errno=errno.EIO, effects=("read",)))
            if len(end.steps) < step:
                break
            if end.exit_code:
                failed += 1
                check_reported(crash_test, end.exit_code, end.stderr, end.steps[step - 1], "Input/output error")
            assert not (crash_test.night.lake / "_collector/acme/quarantine").exists()
            assert crash_test.run().exit_code == 0
            crash_test.check_lake(converged=True)
            shutil.rmtree(crash_test.night.lake)
            shutil.copytree(left, crash_test.night.lake)
    assert failed >= 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_costs_one_run_and_no_data(small_disk: Path) -> None:
    """With space for none, some or most of a landing: exit 5, and all files are readable; with space it converges."""
    crash_test, chance = CrashTest(small_disk, scopes=["app_segment"]), Random(0)  # noqa: S311
    failed = 0
    with crash_test.served():
        crash_test.run()
        for room in range(0, 72, 14):
            crash_test.wait(hours=7)
            crash_test.change(chance)
            before = table_bytes(crash_test)
            fill(small_disk, room * 1024)
            outcome = crash_test.run()
            if outcome.exit_code:
                failed += 1
                check_reported(crash_test, outcome.exit_code, outcome.stderr, "write", "No space left on device")
                assert table_bytes(crash_test) == before
            crash_test.ledger.check_readable()
            (small_disk / "filler").unlink()
            assert crash_test.run().exit_code == 0
            crash_test.check_lake(converged=True)
    assert 2 <= failed < 6


def test_a_read_only_lake_is_named(small_disk: Path) -> None:
    """On a file system mounted read-only: exit 5 says so, no byte changes, and the next run continues."""
    crash_test = CrashTest(small_disk)
    with crash_test.served():
        crash_test.run()
        crash_test.wait(days=1)
        before = crash_test.night.bytes()
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        outcome = crash_test.run()
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        check_reported(crash_test, outcome.exit_code, outcome.stderr, "write", "Read-only file system")
        assert crash_test.night.bytes() == before
        assert crash_test.run().exit_code == 0
        crash_test.check_lake(converged=True)


@pytest.mark.parametrize("place", ["", "_collector", "_collector/acme/journal", "sessions_app_daily", "coverage"])
def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path, place: str) -> None:
    """Another file at the path of the lake or of a table: exit 5 names it, and it is left as it is."""
    crash_test = CrashTest(tmp_path, scopes=["app"], units=["day"])
    obstacle = crash_test.night.lake / place
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_text("somebody's notes")
    with crash_test.served():
        outcome = crash_test.run()
        assert outcome.exit_code == 5
        assert str(obstacle) in outcome.stderr
        assert obstacle.read_text() == "somebody's notes"
        obstacle.unlink()
        assert crash_test.run().exit_code == 0
        crash_test.check_lake(converged=True)


def check_reported(crash_test: CrashTest, exit_code: int, stderr: str, step: str, reason: str) -> None:
    """Exit 5, with a line that says what failed and where; a lock that cannot be deleted is not reported."""
    assert "Traceback" not in stderr
    if exit_code == 0:
        assert step == "rename _collector/acme/lock.json", stderr
        return
    assert exit_code == 5, (step, stderr)
    assert re.search(rf"cannot \w+ {re.escape(str(crash_test.night.lake))}\S*: {reason}", stderr), (step, stderr)


def check_in_order(before: dict[str, bytes], cut: dict[str, bytes], complete: dict[str, bytes]) -> None:
    """An interrupted landing has changed the first files of its order, and these are final."""
    landed = sorted(_rank(path) for path in cut if cut[path] != before.get(path))
    for path in complete:
        if landed and _rank(path) < landed[-1]:
            assert cut.get(path) == complete[path], f"{path} was skipped"
        elif path in cut and cut[path] != before.get(path) and not path.startswith("coverage"):
            assert cut[path] == complete[path], f"{path} was written twice"


def _rank(path: str) -> int:
    return next(rank for rank, table in enumerate(ORDER) if path.startswith(table))


def table_bytes(crash_test: CrashTest) -> dict[str, bytes]:
    """The tables' files."""
    return {path: data for path, data in crash_test.night.bytes().items() if not path.startswith("_collector")}


def fill(disk: Path, room: int) -> None:
    """Leave `room` bytes free on the disk."""
    status = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - room)))
