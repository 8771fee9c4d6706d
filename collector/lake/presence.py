"""Whether there is a lake where the config says, and whether one may be made there.

A disk that is not mounted looks like an empty folder. So a new lake is never made without a word, nor where the config
requires one, nor below a folder that is missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collector.lake import paths
from collector.lake.store import LakeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config.settings import Config, Workspace
    from collector.lake.store import Store


class LakeAbsent(LakeError):
    """There is no lake where one must be (exit code 5)."""


def find_lake(config: Config, store: Store) -> bool:
    """Whether the store holds a lake: a file of the collector's own, or one of a table.

    Raises LakeAbsent where it does not and the config requires one; LakeError where it cannot be read.
    """
    there = _is_there(store, config.workspaces)
    if not there and config.require_lake:
        bucket = "://" in config.lake
        advice = "check its address" if bucket else "its disk may not be mounted. Mount it and run again"
        raise LakeAbsent(
            f"there is no lake at {config.lake} (no {paths.INTERNAL} and no table in it), and the config has "
            f"`require_lake: true`: {advice}; for a new lake, write `require_lake: false` for its first run"
        )
    return there


def refuse_missing_parent(lake: str) -> None:
    """Raise LakeAbsent if the folder is missing in which the lake's own would be made. Buckets have no folders."""
    if "://" in lake or Path(lake).parent.is_dir():
        return
    raise LakeAbsent(
        f"cannot make the lake {lake}: there is no folder {Path(lake).parent}. Its disk may not be mounted: mount it, "
        "or make that folder, and run again"
    )


def _is_there(store: Store, workspaces: Sequence[Workspace]) -> bool:
    # A lake in use is found by its first file; the listings are for the first run of a workspace, and for no lake.
    opened = store.open(paths.metadata(workspaces[0].name)) if workspaces else None
    if opened is not None:
        opened[0].close()
        return True
    return any(store.list(folder) for folder in (paths.INTERNAL, *paths.tables()))
