from __future__ import annotations

import gc
import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from collector.config.settings import Storage
from collector.lake.objects import SPOOL_BYTES, Bucket, ObjectStore
from collector.lake.store import LakeError

if TYPE_CHECKING:
    from pathlib import Path

    from collector.lake.store import Staged


def stage(size: int) -> Staged:
    """Stage a file of that size. Nothing is sent, so no server is needed."""
    with ObjectStore(Bucket("s3://bucket/lake", Storage())).stage() as staging:
        staging.sink.write(b"x" * size)
    return staging.staged


def open_files(folder: Path) -> int:
    """How many files of a folder this process has open, with or without a name."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  # one of them is this list's
    return sum(os.readlink(link).startswith(str(folder)) for link in links if os.path.lexists(link))  # noqa: PTH115


def test_a_large_file_is_staged_on_disk_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a limit a staged file is in memory, above it in a temporary file without a name, closed when unused."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for size, files in ((SPOOL_BYTES, 0), (SPOOL_BYTES + 1, 1)):
        staged = stage(size)
        assert (staged.size, open_files(tmp_path)) == (size, files)
        assert list(tmp_path.iterdir()) == []
        del staged
        gc.collect()
        assert open_files(tmp_path) == 0


def test_an_unusable_temporary_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the folder and the variable that chooses another."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(LakeError, match=r"none.*TMPDIR"):
        stage(SPOOL_BYTES + 1)
