from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from collector.lake.store import NO_FILE, Conflict, get, put
from tests.stores.bucket_site import BucketSite
from tests.stores.wire import LOSE, PASS, REFUSE, Wire, wire
from tests.support.builders import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stores.place import Place


@contextmanager
def through_a_wire(place: Place, fate: Callable[[int], str]) -> Iterator[tuple[Place, Wire]]:
    """The same lake, reached by a wire."""
    with wire(place.storage["endpoint"], fate) as laid:
        path = place.storage["endpoint"].split("/", 3)[3:]
        yield replace(place, storage={**place.storage, "endpoint": "/".join([laid.url, *path])}), laid


def first(fate: str) -> Callable[[int], str]:
    """That of the first put; the others pass."""
    return lambda number: fate if number == 1 else PASS


@pytest.mark.parametrize("fate", [LOSE, REFUSE])
@pytest.mark.parametrize("expected", ["absent", "present", "any"])
def test_a_put_whose_answer_is_lost_is_done_once_and_is_no_conflict(bucket: Place, fate: str, expected: str) -> None:
    """Done and the answer lost, or refused for a race that left nothing: the put succeeds, and its tag is told."""
    versions = {"absent": NO_FILE, "any": None}
    version = put(bucket.store(), "file", b"before", NO_FILE) if expected == "present" else versions[expected]
    with through_a_wire(bucket, first(fate)) as (place, _):
        told = put(place.store(), "file", b"mine", version)
    assert get(bucket.store(), "file") == (b"mine", told)


@pytest.mark.parametrize("expected", ["absent", "present"])
def test_a_lost_answer_hides_no_conflict(bucket: Place, expected: str) -> None:
    """Where another run replaced the file after the put whose answer was lost, that is told, and its file stays."""
    version = NO_FILE if expected == "absent" else put(bucket.store(), "file", b"before", NO_FILE)
    with through_a_wire(bucket, first(LOSE)) as (place, laid):
        laid.meanwhile = lambda: put(bucket.store(), "file", b"theirs")
        with pytest.raises(Conflict):
            put(place.store(), "file", b"mine", version)
    assert get(bucket.store(), "file") == (b"theirs", bucket.store().list("")["file"])


def test_a_night_on_a_bad_wire_lands_the_truth(tmp_path: Path, bucket: Place) -> None:
    """Every third put's answer is lost and every seventh refused, the lock's among them: exit 0, and all is landed."""

    def fate(number: int) -> str:
        return LOSE if number % 3 == 0 else REFUSE if number % 7 == 0 else PASS

    with through_a_wire(bucket, fate) as (place, laid):
        site = BucketSite(tmp_path, place, {"name": "acme"}, {"name": "globex"}, start="2026-09-01")
        with site.served():
            assert site.night.run(NOW).exit_code == 0
            assert site.night.rows() == site.truth()
            assert site.night.run(NOW).report["requests"] == 0
        assert laid.puts > 20
