from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.reliability.ordeal import Ordeal, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAINS = 4
ORDER = ("restatements", "sessions", "coverage", "collection_log")


@pytest.mark.parametrize("chain", range(CHAINS))
def test_a_disk_that_fails_at_any_write_leaves_a_usable_lake(tmp_path: Path, chain: int) -> None:
    """EIO at each write, fsync and rename in turn: exit 5 names the file, and the next run converges.

    The changed files are the first ones of a landing, each complete, and each restatement is recorded once.
    """
    ordeal, chance = Ordeal(tmp_path, scopes=["app_segment"], units=["day"]), Random(chain)  # noqa: S311
    with ordeal.served():
        ordeal.run()
        for step in range(1 + chain, 200, CHAINS):
            ordeal.wait(hours=7)
            ordeal.change(chance)
            before = table_bytes(ordeal)
            end = ordeal.run_doomed(Plan(at=step, blow=errno.EIO, effects=("write", "fsync", "rename")))
            if len(end.steps) < step:
                break
            check_reported(ordeal, end.exit_code, end.stderr, end.steps[step - 1], "Input/output error")
            ordeal.ledger.check_readable()
            after = table_bytes(ordeal)
            assert ordeal.run().exit_code == 0
            check_in_order(before, after, table_bytes(ordeal))
            ordeal.check_whole(converged=True)
            assert not list((ordeal.night.lake / "_collector/acme/staging").iterdir())
        assert end.exit_code == 0
        assert step > 20


def test_a_disk_that_cannot_be_read_is_not_damage(tmp_path: Path) -> None:
    """EIO at reads, with a pending journal: exit 5 names the file; nothing is quarantined, lost or recorded twice."""
    ordeal, failed = Ordeal(tmp_path, scopes=["app"], units=["day"]), 0
    left = tmp_path / "left"
    with ordeal.served():
        ordeal.run()
        ordeal.wait(hours=7)
        ordeal.change(Random(0))  # noqa: S311
        assert ordeal.run_doomed(Plan(at=3, effects=("rename",))).killed
        shutil.copytree(ordeal.night.lake, left)
        for step in range(2, 100, 7):
            end = ordeal.run_doomed(Plan(at=step, blow=errno.EIO, effects=("read",)))
            if len(end.steps) < step:
                break
            if end.exit_code:
                failed += 1
                check_reported(ordeal, end.exit_code, end.stderr, end.steps[step - 1], "Input/output error")
            assert not (ordeal.night.lake / "_collector/acme/quarantine").exists()
            assert ordeal.run().exit_code == 0
            ordeal.check_whole(converged=True)
            shutil.rmtree(ordeal.night.lake)
            shutil.copytree(left, ordeal.night.lake)
    assert failed >= 3


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
    ordeal, chance = Ordeal(small_disk, scopes=["app_segment"]), Random(0)  # noqa: S311
    failed = 0
    with ordeal.served():
        ordeal.run()
        for room in range(0, 72, 8):
            ordeal.wait(hours=7)
            ordeal.change(chance)
            before = table_bytes(ordeal)
            fill(small_disk, room * 1024)
            outcome = ordeal.run()
            if outcome.exit_code:
                failed += 1
                check_reported(ordeal, outcome.exit_code, outcome.stderr, "write", "No space left on device")
                assert table_bytes(ordeal) == before
            ordeal.ledger.check_readable()
            (small_disk / "filler").unlink()
            assert ordeal.run().exit_code == 0
            ordeal.check_whole(converged=True)
    assert 3 <= failed < 9


def test_a_read_only_lake_is_named(small_disk: Path) -> None:
    """On a file system mounted read-only: exit 5 says so, no byte changes, and the next run continues."""
    ordeal = Ordeal(small_disk)
    with ordeal.served():
        ordeal.run()
        ordeal.wait(days=1)
        before = ordeal.night.bytes()
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        outcome = ordeal.run()
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        check_reported(ordeal, outcome.exit_code, outcome.stderr, "write", "Read-only file system")
        assert ordeal.night.bytes() == before
        assert ordeal.run().exit_code == 0
        ordeal.check_whole(converged=True)


@pytest.mark.parametrize("place", ["", "_collector", "_collector/acme/journal", "sessions_app_daily", "coverage"])
def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path, place: str) -> None:
    """Another file at the path of the lake or of a table: exit 5 names it, and it is left as it is."""
    ordeal = Ordeal(tmp_path, scopes=["app"], units=["day"])
    obstacle = ordeal.night.lake / place
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_text("somebody's notes")
    with ordeal.served():
        outcome = ordeal.run()
        assert outcome.exit_code == 5
        assert str(obstacle) in outcome.stderr
        assert obstacle.read_text() == "somebody's notes"
        obstacle.unlink()
        assert ordeal.run().exit_code == 0
        ordeal.check_whole(converged=True)


def check_reported(ordeal: Ordeal, exit_code: int, stderr: str, step: str, reason: str) -> None:
    """Exit 5, with a line that says what failed and where; a lock that cannot be deleted is not reported."""
    assert "Traceback" not in stderr
    if exit_code == 0:
        assert step == "rename _collector/acme/lock.json", stderr
        return
    assert exit_code == 5, (step, stderr)
    assert re.search(rf"cannot \w+ {re.escape(str(ordeal.night.lake))}\S*: {reason}", stderr), (step, stderr)


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


def table_bytes(ordeal: Ordeal) -> dict[str, bytes]:
    """The tables' files."""
    return {path: data for path, data in ordeal.night.bytes().items() if not path.startswith("_collector")}


def fill(disk: Path, room: int) -> None:
    """Leave `room` bytes free on the disk."""
    status = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - room)))
