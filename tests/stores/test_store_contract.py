from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.lake.objects import FOOTER_BYTES
from collector.lake.store import NO_FILE, Conflict, LakeError, Replacement, StageGone, get, put
from tests.stores.proxy import PASS, through_proxy

if TYPE_CHECKING:
    from collector.lake.store import Staged, Store
    from tests.stores.place import Place


def stage(store: Store, content: bytes) -> Staged:
    """A staged file."""
    with store.stage() as staging:
        staging.sink.write(content)
    return staging.staged


def test_a_file_is_read_back_with_its_version(place: Place) -> None:
    """A file has the content that was written, and the version that publishing returned and that listings show."""
    store = place.store()
    version = put(store, "a/workspace=acme/data.parquet", b"one", NO_FILE)
    assert get(store, "a/workspace=acme/data.parquet") == (b"one", version)
    assert dict(store.list("a")) == {"a/workspace=acme/data.parquet": version}
    assert version != NO_FILE


def test_a_missing_file_is_none(place: Place) -> None:
    """To open, list or delete a missing file does not fail."""
    store = place.store()
    assert store.open("a/b") is None
    assert dict(store.list("a")) == {}
    store.delete("a/b")


def test_an_open_file_is_seekable(place: Place) -> None:
    """A file of five megabytes is read from its end, its middle and its beginning."""
    store, content = place.store(), bytes(range(256)) * 20_000
    put(store, "big", content)
    opened = store.open("big")
    assert opened is not None
    with opened[0] as source:
        assert source.size() == len(content)
        source.seek(len(content) - 8)
        assert source.read(8) == content[-8:]
        source.seek(1_000_000)
        assert source.read(1000) == content[1_000_000:1_001_000]
        source.seek(0)
        assert source.read() == content


def test_an_open_file_keeps_its_version(place: Place) -> None:
    """A reader of a file that is replaced meanwhile reads the old version to its end."""
    store, old, new = place.store(), b"o" * 3_000_000, b"n" * 3_000_000
    put(store, "file", old)
    opened = store.open("file")
    assert opened is not None
    with opened[0] as source:
        first = source.read(10)
        put(store, "file", new)
        assert first + source.read() == old
    assert get(store, "file") == (new, store.list("")["file"])


@pytest.mark.parametrize("size", [1, 70_000, 5_000_000])
def test_a_footer_is_read_from_one_version(place: Place, size: int) -> None:
    """Opened for its footer, a file has its size, version and content; parts of a version that is gone are refused."""
    store, old = place.store(), bytes(range(251)) * (size // 251 + 1)
    old = old[:size]
    version = put(store, "file", old)
    opened, other = store.open_footer("file"), store.open_footer("file")
    assert opened is not None
    assert other is not None
    with opened[0] as source:
        assert (source.size(), opened[1]) == (size, version)
        source.seek(max(0, size - 8))
        assert source.read(8) == old[-8:]
        source.seek(size // 3)
        assert source.read(1000) == old[size // 3 : size // 3 + 1000]
        source.seek(0)
        assert source.read() == old
    put(store, "file", b"n" * size)
    with other[0] as source:
        source.seek(max(0, size - 8))
        assert source.read(8) == old[-8:]
        source.seek(0)
        with suppress(Conflict):
            assert source.read() == old
    store.delete("file")
    assert store.open_footer("file") is None


def test_a_footer_costs_little(bucket: Place) -> None:
    """Of a Parquet file of eight megabytes, its footer takes a request for the last 64 KiB."""
    numbers = pa.array(range(1_000_000), pa.int64())
    with bucket.store().stage() as staging:
        pq.write_table(pa.table({"n": numbers}), staging.sink, compression=None, use_dictionary=False)
    bucket.store().publish(Replacement("big.parquet", staging.staged, NO_FILE))
    with through_proxy(bucket, lambda *_: PASS) as (place, proxy):
        opened = place.store().open_footer("big.parquet")
        assert opened is not None
        with opened[0] as source:
            assert pq.ParquetFile(source, pre_buffer=False).metadata.num_rows == 1_000_000
        assert proxy.relayed_bytes == FOOTER_BYTES


def test_an_empty_file_has_no_footer(place: Place) -> None:
    """A file that was emptied is opened, and has no bytes."""
    store = place.store()
    put(store, "empty", b"")
    opened = store.open_footer("empty")
    assert opened is not None
    with opened[0] as source:
        assert source.read() == b""


def test_a_listing_contains_only_its_folder(place: Place) -> None:
    """Files at any depth below a folder are listed; those of a folder whose name has the same beginning are not."""
    store = place.store()
    for path in ("t/a", "t/b=1/c", "tt/d", "t2"):
        put(store, path, path.encode())
    assert set(store.list("t")) == {"t/a", "t/b=1/c"}


def test_creating_never_replaces(place: Place) -> None:
    """If no file is expected, an existing one is not replaced, and the staged one is dropped."""
    store = place.store()
    put(store, "file", b"theirs", NO_FILE)
    with pytest.raises(Conflict, match="nothing was overwritten"):
        put(store, "file", b"mine", NO_FILE)
    assert get(store, "file") == (b"theirs", store.list("")["file"])


def test_replacing_requires_the_expected_version(place: Place) -> None:
    """A file is replaced if it is unchanged, and left as it is if it was replaced or deleted."""
    store = place.store()
    first = put(store, "file", b"one", NO_FILE)
    second = put(store, "file", b"two", first)
    assert second != first
    with pytest.raises(Conflict):
        put(store, "file", b"three", first)
    store.delete("file")
    with pytest.raises(Conflict):
        put(store, "file", b"three", second)
    assert store.open("file") is None


def test_a_put_without_a_condition_replaces_anything(place: Place) -> None:
    """Without an expected version, any file is replaced."""
    store = place.store()
    put(store, "file", b"one")
    put(store, "file", b"two")
    assert get(store, "file") == (b"two", store.list("")["file"])


def test_nothing_is_published_after_the_lock_has_changed(place: Place) -> None:
    """A publication on condition of the lock file is refused if that file was replaced or deleted."""
    store = place.store()
    held = put(store, "lock", b"mine", NO_FILE)
    store.publish(Replacement("file", stage(store, b"one"), NO_FILE, ("lock", held)))
    put(store, "lock", b"theirs", held)
    with pytest.raises(Conflict):
        store.publish(Replacement("file", stage(store, b"two"), None, ("lock", held)))
    store.delete("lock")
    with pytest.raises(Conflict):
        store.publish(Replacement("file", stage(store, b"two"), None, ("lock", held)))
    assert get(store, "file") == (b"one", store.list("")["file"])


def test_deleting_requires_the_expected_version(place: Place) -> None:
    """A file that was replaced is not deleted by a run that expects the old version."""
    store = place.store()
    old = put(store, "file", b"one", NO_FILE)
    new = put(store, "file", b"two", old)
    with pytest.raises(Conflict):
        store.delete("file", old)
    store.delete("file", new)
    assert store.open("file") is None


def test_moving_renames_and_never_replaces(place: Place) -> None:
    """A file is moved with its content; if the destination exists, both stay as they are."""
    store = place.store()
    put(store, "from", b"moved")
    put(store, "taken", b"there")
    with pytest.raises(Conflict):
        store.move("from", "taken")
    store.move("from", "folder/to")
    assert get(store, "folder/to") == (b"moved", store.list("folder")["folder/to"])
    assert store.open("from") is None
    assert get(store, "taken") == (b"there", store.list("")["taken"])


def test_moving_a_missing_file_is_reported(place: Place) -> None:
    """The message names the file."""
    with pytest.raises(LakeError, match="nowhere"):
        place.store().move("nowhere", "to")


def test_staged_files_are_not_visible(place: Place) -> None:
    """A staged file is in no folder of a table, and an exception while it is written drops it."""
    store = place.store()
    staged = stage(store, b"content")
    assert staged.size == 7
    with suppress(KeyError), store.stage() as staging:
        staging.sink.write(b"half")
        raise KeyError
    assert [path for path in store.list("") if not path.startswith("_collector/")] == []
    store.delete_staged()
    assert dict(store.list("_collector/acme/staging")) == {}


def test_a_deleted_staged_file_is_reported(place: Place) -> None:
    """In a folder, StageGone for a staged file that another run deleted; in a bucket, no other run can reach it."""
    store = place.store()
    staged = stage(store, b"content")
    place.store().delete_staged()
    try:
        store.publish(Replacement("file", staged, NO_FILE))
    except StageGone:
        assert store.open("file") is None
    else:
        assert place.name != "folder"


@pytest.mark.parametrize("expected", ["absent", "present"])
def test_of_concurrent_puts_one_succeeds(place: Place, expected: str) -> None:
    """Of twelve runs that put a file at once on the same condition, one succeeds and eleven meet a conflict."""
    version = NO_FILE if expected == "absent" else put(place.store(), "file", b"start", NO_FILE)
    stores = [place.store() for _ in range(12)]

    def attempt(number: int) -> bool:
        try:
            put(stores[number], "file", f"of {number}".encode(), version)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        won = list(pool.map(attempt, range(12)))
    assert won.count(True) == 1
    assert get(place.store(), "file") == (f"of {won.index(True)}".encode(), place.store().list("")["file"])
