from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collector.lake.store import NO_FILE, Conflict, get, put
from tests.stores.bucket_site import BucketSite
from tests.stores.proxy import LOSE, PASS, REFUSE, through_proxy
from tests.support.builders import NOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stores.place import Place


def first(fate: str) -> Callable[[int, str], str]:
    """A fate for the first put; the others pass."""
    return lambda number, _: fate if number == 1 else PASS


@pytest.mark.parametrize("fate", [LOSE, REFUSE])
@pytest.mark.parametrize("expected", ["absent", "present", "any"])
def test_a_put_whose_reply_is_lost_is_done_once_without_a_conflict(bucket: Place, fate: str, expected: str) -> None:
    """Done and the reply lost, or refused in a race that no put won: the put succeeds, and returns the version."""
    versions = {"absent": NO_FILE, "any": None}
    version = put(bucket.store(), "file", b"before", NO_FILE) if expected == "present" else versions[expected]
    with through_proxy(bucket, first(fate)) as (place, _):
        returned = put(place.store(), "file", b"mine", version)
    assert get(bucket.store(), "file") == (b"mine", returned)


@pytest.mark.parametrize("expected", ["absent", "present"])
def test_a_lost_reply_does_not_hide_a_conflict(bucket: Place, expected: str) -> None:
    """If another run replaces the file after the put whose reply is lost, that is a conflict, and its file stays."""
    version = NO_FILE if expected == "absent" else put(bucket.store(), "file", b"before", NO_FILE)
    with through_proxy(bucket, first(LOSE)) as (place, proxy):
        proxy.before_loss = lambda: put(bucket.store(), "file", b"theirs")
        with pytest.raises(Conflict):
            put(place.store(), "file", b"mine", version)
    assert get(bucket.store(), "file") == (b"theirs", bucket.store().list("")["file"])


def test_a_run_over_a_bad_connection_lands_the_truth(tmp_path: Path, bucket: Place) -> None:
    """Every third reply to a put is lost and every seventh put refused, the lock's too: exit 0, all data is landed."""

    def fate(number: int, _: str) -> str:
        return LOSE if number % 3 == 0 else REFUSE if number % 7 == 0 else PASS

    with through_proxy(bucket, fate) as (place, proxy):
        site = BucketSite(tmp_path, place, {"name": "acme"}, {"name": "globex"}, start="2026-09-01")
        with site.served():
            assert site.night.run(NOW).exit_code == 0
            assert site.night.rows() == site.truth()
            assert site.night.run(NOW).report["requests"] == 0
        assert proxy.puts > 20
