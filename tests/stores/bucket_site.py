"""A site whose lake is in a bucket. The lake is copied to a folder to be read there, as a lake on disk is."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from collector.lake.store import get
from tests.support.night import Night
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from collector.simulator.options import Options
    from tests.stores.place import Place
    from tests.support.night import Row


class BucketNight(Night):
    """A folder with a config, and a lake in a bucket. Call `fetch` before `query`."""

    def __init__(self, folder: Path, document: dict[str, Any], place: Place) -> None:
        self.place = place
        super().__init__(folder, place.document(document))

    def fetch(self) -> dict[str, str]:
        """Copy every object to the folder. Returns the version of each path."""
        shutil.rmtree(self.lake, ignore_errors=True)
        store = self.place.store()
        versions = dict(store.list(""))
        for path, version in versions.items():
            found = get(store, path)
            assert found is not None
            assert found[1] == version
            file = self.lake / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(found[0])
        return versions

    def fetch_but_runs(self) -> dict[str, str]:
        """The versions without those of the table `runs`, to which every run adds its row."""
        return {path: version for path, version in self.fetch().items() if not path.startswith("runs/")}

    def rows(self) -> set[Row]:
        """All data rows of the lake as it is now."""
        self.fetch()
        return super().rows()


class BucketSite(Site):
    """A stand-in, a config, and a lake in a bucket."""

    night: BucketNight

    def __init__(
        self,
        folder: Path,
        place: Place,
        *workspaces: dict[str, Any],
        options: Options | None = None,
        **defaults: Any,
    ) -> None:
        super().__init__(folder, *workspaces, options=options, **defaults)
        self.night = BucketNight(folder, self.night.document, place)
