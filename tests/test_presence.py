from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.builders import NOW
from tests.support.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two workspaces, by day, and no lake."""
    site = Site(tmp_path, {"name": "acme"}, {"name": "globex"}, units=["day"], start="2026-11-20")
    with site.served():
        yield site


def say_in_config(site: Site, **changes: object) -> None:
    site.night.document |= changes
    site.night.write()


def test_a_run_that_makes_a_lake_says_so(site: Site) -> None:
    """The first run says so in its first line and in its summary, with -q and in JSON too; the second does not."""
    for options in (["-q"], ["--log-format", "json"], []):
        outcome = site.night.run(site.simulation.now, *options)
        first, *_ = lines = outcome.stderr.splitlines()
        assert f"there is no lake at {site.night.lake} yet: this run makes a new one" in first
        summary = json.loads(lines[-1])["message"] if options[0:1] == ["--log-format"] else outcome.stderr
        assert f"the lake {site.night.lake} is new: this run made it" in summary
        assert site.night.rows() == site.truth()
        again = site.night.run(site.simulation.now, *options)
        assert (again.exit_code, "new" in again.stderr) == (0, False)
        shutil.rmtree(site.night.lake)


@pytest.mark.parametrize("arguments", [["run"], ["run", "--json"], ["plan"], ["repair"], ["sql", "FROM coverage"]])
def test_a_lake_that_is_required_is_not_made(site: Site, arguments: list[str]) -> None:
    """`require_lake: true` and no lake, or the empty folder of a mount: exit 5, no request, and nothing is written."""
    say_in_config(site, require_lake=True)
    for _ in range(2):
        before = site.simulation.request_log.requests
        outcome = site.night.call(*arguments)
        assert (outcome.exit_code, outcome.report) == (5, {})
        assert f"there is no lake at {site.night.lake}" in outcome.stderr
        assert "may not be mounted" in outcome.stderr
        assert site.simulation.request_log.requests == before
        assert not site.night.lake.exists() or not list(site.night.lake.iterdir())
        site.night.lake.mkdir(exist_ok=True)


def test_a_lake_that_is_there_is_used(site: Site) -> None:
    """With `require_lake: true` a lake is known by its tables or by `_collector`, whatever workspace they are of."""
    assert site.night.run(site.simulation.now).exit_code == 0
    say_in_config(site, require_lake=True)
    for gone in ("_collector/acme", "_collector"):
        shutil.rmtree(site.night.lake / gone)
        outcome = site.night.run(site.simulation.now)
        assert (outcome.exit_code, "new" in outcome.stderr) == (0, False), outcome.stderr
    for table in site.night.lake.glob("[a-z]*"):
        shutil.rmtree(table)
    assert site.night.run(site.simulation.now).exit_code == 0
    assert site.night.rows() == site.truth()


def test_folders_above_the_lake_are_not_made(site: Site) -> None:
    """A lake below a folder that is missing, such as a disk that is not mounted: exit 5, by name; nothing is made."""
    say_in_config(site, lake="./disk/braze/lake")
    outcome = site.night.call("run")
    assert outcome.exit_code == 5
    assert f"there is no folder {site.night.folder / 'disk/braze'}. Its disk may not be mounted" in outcome.stderr
    assert not (site.night.folder / "disk").exists()
    (site.night.folder / "disk/braze").mkdir(parents=True)
    assert site.night.run(NOW).exit_code == 0


def test_a_link_to_a_lake_that_is_not_mounted_is_not_followed_into_a_new_one(site: Site) -> None:
    """`lake` is a link into a disk that is gone: the folder that is missing is named."""
    site.night.lake.symlink_to(site.night.folder / "disk/lake")
    outcome = site.night.call("run")
    assert (outcome.exit_code, f"no folder {site.night.folder / 'disk'}" in outcome.stderr) == (5, True)


def test_repair_makes_no_lake(site: Site) -> None:
    """Where there is no lake, `repair` has nothing to look at: exit 5, and no folder is made."""
    outcome = site.night.call("repair")
    assert (outcome.exit_code, "nothing can be repaired" in outcome.stderr) == (5, True)
    assert not site.night.lake.exists()
