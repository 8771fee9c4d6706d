"""What only a folder has: links, special files, groups and access lists, file systems with odd rules."""

from __future__ import annotations

import errno
import logging
import os
import stat
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collector.lake import paths
from collector.lake.local import LocalStore
from collector.lake.store import NO_FILE, LakeError, get, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = "coverage/workspace=acme/data.parquet"
MONTH = "sessions_app_daily/workspace=acme/month=2026-11-01"
DATA = f"{MONTH}/data.parquet"


def store_in(lake: Path) -> LocalStore:
    """The store as a new run makes it."""
    return LocalStore(lake, paths.internal_folder("acme"))


@pytest.mark.parametrize("link", ["sessions_app_daily", "sessions_app_daily/workspace=acme", MONTH, DATA])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_a_table_is_refused_by_name(tmp_path: Path, link: str, dangling: bool) -> None:
    """To open, list or replace a file behind a symbolic link fails, with the link's name; what it leads to is kept."""
    lake, elsewhere = tmp_path / "lake", tmp_path / "elsewhere"
    put(store_in(lake), DATA, b"one")
    (lake / link).rename(elsewhere)
    (lake / link).symlink_to(tmp_path / "nowhere" if dangling else elsewhere)
    uses: list[Callable[[LocalStore], object]] = [
        lambda store: store.open(DATA),
        lambda store: store.list("sessions_app_daily/workspace=acme"),
        lambda store: put(store, DATA, b"two", NO_FILE),
    ]
    for use in uses:
        with pytest.raises(LakeError, match=f"{lake / link} is a symbolic link"):
            use(store_in(lake))
    assert b"one" in [file.read_bytes() for file in (elsewhere, *elsewhere.rglob("*")) if file.is_file()]


def test_the_lake_and_the_folders_above_it_may_be_links(tmp_path: Path) -> None:
    """A lake that a link leads to is used like any other."""
    (tmp_path / "disk" / "lake").mkdir(parents=True)
    (tmp_path / "mount").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "current").symlink_to("lake")
    store = store_in(tmp_path / "mount" / "current")
    version = put(store, DATA, b"one", NO_FILE)
    assert dict(store.list("sessions_app_daily")) == {DATA: version}
    assert (tmp_path / "disk" / "lake" / DATA).read_bytes() == b"one"


def test_a_listing_outlives_deletions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file and a folder that vanish between the walk and their examination are not listed; the others are."""
    store = store_in(tmp_path)
    for path in ("t/a", "t/b", "t/c/d", "t/e"):
        put(store, path, b"")
    system = os.scandir

    @contextmanager
    def scandir(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with system(folder) as entries:
            found = list(entries)
        store.delete("t/b")
        store.delete("t/c/d")
        yield iter(found)

    monkeypatch.setattr(os, "scandir", scandir)
    assert set(store.list("t")) == {"t/a", "t/e"}


@pytest.mark.parametrize("path", [DATA, paths.lock("acme"), paths.metadata("acme")])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_regular_files_are_read(tmp_path: Path, path: str, make: Callable[[Path], None]) -> None:
    """A FIFO or a folder in place of a file is reported by name, without a wait for somebody who writes to it."""
    (tmp_path / path).parent.mkdir(parents=True)
    make(tmp_path / path)
    with pytest.raises(LakeError, match=f"{tmp_path / path} is not a regular file"):
        store_in(tmp_path).open(path)


def test_what_was_published_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is flushed before its rename, its folder after it, and the parent of each new folder."""
    done: list[str] = []
    flush, rename = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        done.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path / "lake"))

    def replace(source: str, target: str) -> None:
        rename(source, target)
        done.append("rename")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    store = store_in(tmp_path / "lake")
    put(store, DATA, b"one", NO_FILE)
    staged, *rest = [each for each in done if "staging/" in each or each in ("rename", MONTH)]
    assert staged.startswith("_collector/acme/staging/")
    assert rest == ["rename", MONTH]
    assert {"..", ".", "_collector", "_collector/acme", str(Path(MONTH).parent), str(Path(MONTH).parents[1])} <= {*done}
    done.clear()
    put(store, DATA, b"two")
    assert done[1:] == ["rename", MONTH]


def test_a_folder_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    """Whatever folder of the lake is deleted between two publications of one run, the second one succeeds."""
    store = store_in(tmp_path / "lake")
    for folder in (MONTH, "sessions_app_daily", "_collector/acme/staging"):
        put(store, DATA, b"one")
        for file in sorted((tmp_path / "lake" / folder).rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        (tmp_path / "lake" / folder).rmdir()
    put(store, DATA, b"two", NO_FILE if not (tmp_path / "lake" / DATA).exists() else None)
    assert (tmp_path / "lake" / DATA).read_bytes() == b"two"


def test_folders_above_the_lake_are_not_made(tmp_path: Path) -> None:
    """Where the folder that holds the lake is missing, as when a disk is not mounted, the message names it."""
    with pytest.raises(LakeError, match=f"the folder {tmp_path / 'mount'} does not exist"):
        put(store_in(tmp_path / "mount" / "lake"), DATA, b"one")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_folders_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """As on SMB: the run goes on, with one warning for the lake, however many folders and workspaces it has."""
    fail_to_flush(monkeypatch, number, lambda file: file.is_dir())
    with caplog.at_level(logging.WARNING):
        for workspace in ("acme", "other"):
            store = LocalStore(tmp_path, paths.internal_folder(workspace))
            assert put(store, DATA, b"one") == store.list(MONTH)[DATA]
    assert len([record for record in caplog.records if "cannot flush folders" in record.message]) == 1


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_disk_that_fails_to_flush_is_never_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """EIO of a folder, and any error of a file, is reported with a path that the user can find."""
    put(store_in(tmp_path), DATA, b"one")
    number = errno.EIO if kind == "folder" else errno.EINVAL
    fail_to_flush(monkeypatch, number, lambda file: file.is_dir() is (kind == "folder"))
    with pytest.raises(LakeError, match=os.strerror(number)) as failure:
        put(store_in(tmp_path), DATA, b"two")
    assert str(tmp_path / (DATA if kind == "folder" else "_collector/acme")) in str(failure.value)
    assert "staging" not in str(failure.value)


def fail_to_flush(monkeypatch: pytest.MonkeyPatch, number: int, which: Callable[[Path], bool]) -> None:
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if which(Path(f"/proc/self/fd/{descriptor}")):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def other_group() -> int:
    """A group that this user may give to a file, and that is not the one of its new files."""
    groups = [4242] if os.geteuid() == 0 else [group for group in os.getgroups() if group != os.getegid()]
    if not groups:
        pytest.skip("the user is a member of one group only")
    return groups[0]


def test_a_file_has_the_group_of_its_setgid_folder(tmp_path: Path) -> None:
    """Whether the table's folder, the one of staging, both or none is setgid: as for a file that is made there."""
    group, store = other_group(), store_in(tmp_path)
    put(store, DATA, b"one")
    staging = tmp_path / "_collector/acme/staging"
    for shared in ([tmp_path / MONTH], [staging], [tmp_path / MONTH, staging], []):
        for folder in (tmp_path / MONTH, staging):
            os.chown(folder, -1, group if folder in shared else os.getegid())
            folder.chmod(0o2770 if folder in shared else 0o770)
        put(store_in(tmp_path), DATA, b"two")
        (made := tmp_path / MONTH / "made-there").touch()
        assert rights(tmp_path / DATA) == rights(made)
        made.unlink()


def test_a_file_has_the_access_list_of_its_folder(tmp_path: Path) -> None:
    """A folder's default ACL counts for a published file as for one that is made there."""
    put(store_in(tmp_path), DATA, b"one")
    entries = [(1, 7, -1), (2, 5, 4242), (4, 5, -1), (16, 5, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(tmp_path / MONTH, "system.posix_acl_default", acl)
    except (OSError, AttributeError):
        pytest.skip("a file system without access lists")
    put(store_in(tmp_path), DATA, b"two")
    (made := tmp_path / MONTH / "made-there").touch()
    assert rights(tmp_path / DATA) == rights(made)
    assert rights(made)[2]


def rights(file: Path) -> tuple[int, int, bytes]:
    """Group, mode, access list."""
    status = file.stat()
    names = os.listxattr(file) if hasattr(os, "listxattr") else []
    acl = os.getxattr(file, "system.posix_acl_access") if "system.posix_acl_access" in names else b""
    return status.st_gid, stat.S_IMODE(status.st_mode), acl


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_the_advice_fits_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whoever may not read is told to get read access, whoever may not write is told to get write access."""
    put(store_in(tmp_path), DATA, b"one")

    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(LakeError, match=r"cannot read \S+data.parquet: .* read access") as reading:
            get(store_in(tmp_path), DATA)
        assert "write access" not in str(reading.value)
        with pytest.raises(LakeError, match=r"cannot write \S+: .* write access"):
            put(store_in(tmp_path), DATA, b"two")
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LakeError, match=r"cannot list \S+: .* read access"):
        store_in(tmp_path).list(MONTH)


def test_tables_and_staging_on_two_file_systems_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table's folder that is a mount of its own: the message says that all must be on one file system."""

    def replace(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(LakeError, match=f"cannot write {tmp_path / FILE}: .* must be on one file system"):
        put(store_in(tmp_path), FILE, b"one")
