from __future__ import annotations

import gc
import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from collector.lake.objects import IN_MEMORY, SpooledStage, translate_temp_errors
from collector.lake.store import LakeError

if TYPE_CHECKING:
    from pathlib import Path


def open_files(folder: Path) -> int:
    """How many files this process holds in a folder, nameless ones too."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  # one of them is this list's
    return sum(os.readlink(link).startswith(str(folder)) for link in links if os.path.lexists(link))  # noqa: PTH115


def test_what_is_large_goes_to_the_disk_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a bound a file is held in memory; beyond it in a temporary file that nobody can find or leave behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for size, files in ((IN_MEMORY, 0), (IN_MEMORY + 1, 1)):
        stage = SpooledStage()
        stage.sink.write(b"x" * size)
        stage.finish()
        assert (stage.staged.size, open_files(tmp_path)) == (size, files)
        assert list(tmp_path.iterdir()) == []
        del stage
        gc.collect()
        assert open_files(tmp_path) == 0


def test_a_temporary_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the folder and how to choose another."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(LakeError, match=r"none.*TMPDIR"), translate_temp_errors():
        SpooledStage().sink.write(b"x" * (IN_MEMORY + 1))
