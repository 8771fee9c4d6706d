from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest

from collector.clock import SystemClock
from collector.lake.stores import open_store
from collector.show.summary import print_summary
from tests.support.night import make_apps
from tests.support.site import Site
from tests.support.suspending_store import collect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.lake.store import Store


class BrokenStore:
    """A store in which one method has a bug."""

    def __init__(self, store: Store, method: str) -> None:
        self._store, self._method = store, method

    def __getattr__(self, name: str) -> object:
        if name == self._method:
            raise KeyError("a bug")
        return getattr(self._store, name)


@pytest.mark.parametrize("method", ["open", "list", "stage", "publish", "delete_staged"])
def test_a_bug_in_one_workspace_ends_that_one_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """A KeyError anywhere in one workspace: the others are completed, exit 1, and the traceback is in the log."""
    site = Site(tmp_path, *({"name": name, "apps": make_apps(3)} for name in ("bad", "good", "other")))
    with site.served():
        config = site.night.settings()
        caplog.set_level(logging.ERROR)
        summary = collect(config, site.simulation.now, "run", SystemClock(), broken(site, method))
    assert summary.exit_code == 1
    assert site.night.rows() == site.truth("good", "other")
    bug = summary.as_json()["failures"][0]
    assert (bug["workspace"], bug["error"].startswith("bug: KeyError")) == ("bad", True)
    assert [record.exc_info is not None for record in caplog.records if "bad" in record.getMessage()] == [True]
    out, err = io.StringIO(), io.StringIO()
    print_summary(summary, out, err)
    assert "bad: bug: KeyError" in err.getvalue()


def broken(site: Site, method: str) -> Callable[[str], Store]:
    """What opens the stores: that of the workspace `bad` has the bug."""
    lake = site.night.settings().lake

    def open_one(workspace: str) -> Store:
        store = open_store(lake, workspace)
        return BrokenStore(store, method) if workspace == "bad" else store  # type: ignore[return-value]

    return open_one
