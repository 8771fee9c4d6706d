from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from collector.lake.store import NO_FILE, Conflict, LakeError, Replacement, StageGone, get, put

if TYPE_CHECKING:
    from collector.lake.store import Staged, Store
    from tests.stores.place import Place


def stage(store: Store, content: bytes) -> Staged:
    """A staged file."""
    with store.stage() as staging:
        staging.sink.write(content)
    return staging.staged


def test_what_was_put_is_read_and_bears_its_tag(place: Place) -> None:
    """A file comes back as it was written, with the tag that publishing gave and that listings show."""
    store = place.store()
    version = put(store, "a/workspace=acme/data.parquet", b"one", NO_FILE)
    assert get(store, "a/workspace=acme/data.parquet") == (b"one", version)
    assert dict(store.list("a")) == {"a/workspace=acme/data.parquet": version}
    assert version != NO_FILE


def test_a_file_that_is_not_there_is_none(place: Place) -> None:
    """Neither opening nor listing nor deleting what is not there fails."""
    store = place.store()
    assert store.open("a/b") is None
    assert dict(store.list("a")) == {}
    store.delete("a/b")


def test_files_are_read_at_any_place(place: Place) -> None:
    """A file of some megabytes is read from its end, its middle and its beginning."""
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


def test_an_open_file_stays_the_version_it_was(place: Place) -> None:
    """Replacing a file while it is read changes nothing for the reader."""
    store, old, new = place.store(), b"o" * 3_000_000, b"n" * 3_000_000
    put(store, "file", old)
    opened = store.open("file")
    assert opened is not None
    with opened[0] as source:
        first = source.read(10)
        put(store, "file", new)
        assert first + source.read() == old
    assert get(store, "file") == (new, store.list("")["file"])


def test_listing_a_folder_keeps_to_it(place: Place) -> None:
    """Files at any depth below a folder are listed, those of a folder whose name begins alike are not."""
    store = place.store()
    for path in ("t/a", "t/b=1/c", "tt/d", "t2"):
        put(store, path, path.encode())
    assert set(store.list("t")) == {"t/a", "t/b=1/c"}


def test_creating_never_replaces(place: Place) -> None:
    """A file that is expected to be absent is not replaced, and the staged one is dropped."""
    store = place.store()
    put(store, "file", b"theirs", NO_FILE)
    with pytest.raises(Conflict, match="nothing was overwritten"):
        put(store, "file", b"mine", NO_FILE)
    assert get(store, "file") == (b"theirs", store.list("")["file"])


def test_replacing_takes_the_version_that_was_read(place: Place) -> None:
    """A file is replaced where it is unchanged, and left alone where it was replaced or is gone."""
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
    """Whatever is there is replaced where no version is expected."""
    store = place.store()
    put(store, "file", b"one")
    put(store, "file", b"two")
    assert get(store, "file") == (b"two", store.list("")["file"])


def test_nothing_is_replaced_once_the_lock_is_another_s(place: Place) -> None:
    """A publication that hangs on another file's version is refused where that one has changed or is gone."""
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


def test_deleting_keeps_to_the_version_that_was_read(place: Place) -> None:
    """A file that was replaced is not deleted by one who expects the old version."""
    store = place.store()
    old = put(store, "file", b"one", NO_FILE)
    new = put(store, "file", b"two", old)
    with pytest.raises(Conflict):
        store.delete("file", old)
    store.delete("file", new)
    assert store.open("file") is None


def test_moving_takes_a_file_away_and_replaces_none(place: Place) -> None:
    """A file is moved whole; where something is there already, both stay as they are."""
    store = place.store()
    put(store, "from", b"moved")
    put(store, "taken", b"there")
    with pytest.raises(Conflict):
        store.move("from", "taken")
    store.move("from", "folder/to")
    assert get(store, "folder/to") == (b"moved", store.list("folder")["folder/to"])
    assert store.open("from") is None
    assert get(store, "taken") == (b"there", store.list("")["taken"])


def test_moving_what_is_not_there_is_told(place: Place) -> None:
    """The message names the file."""
    with pytest.raises(LakeError, match="nowhere"):
        place.store().move("nowhere", "to")


def test_what_is_staged_is_seen_by_nobody(place: Place) -> None:
    """A staged file lies in no folder of the lake's tables, and an exception while it is written drops it."""
    store = place.store()
    staged = stage(store, b"content")
    assert staged.size == 7
    with suppress(KeyError), store.stage() as staging:
        staging.sink.write(b"half")
        raise KeyError
    assert [path for path in store.list("") if not path.startswith("_collector/")] == []
    store.delete_staged()
    assert dict(store.list("_collector/acme/staging")) == {}


def test_what_was_swept_is_told_or_published(place: Place) -> None:
    """What another run has swept away is told as that; runs on a bucket stage where none reaches."""
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
def test_of_many_at_once_one_wins(place: Place, expected: str) -> None:
    """Of twelve runs that put the same file at once on the same condition, one does, and eleven are told."""
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
