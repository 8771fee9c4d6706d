"""Which store a lake's address calls for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collector.lake import paths
from collector.lake.errors import LakeRefused
from collector.lake.local import LocalStore

if TYPE_CHECKING:
    from collector.lake.store import Store


def open_store(lake: str, workspace: str) -> Store:
    """The lake as one workspace's run sees it. Raises LakeRefused for an address that this version cannot write to."""
    if "://" in lake:
        raise LakeRefused(f"lake {lake}: this version writes lakes in folders; write a folder, such as ./lake")
    return LocalStore(Path(lake), paths.own(workspace))
