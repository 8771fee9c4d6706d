"""Files that cannot be read, out of the tables' way: renamed, never removed, and never over one another."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING

from collector.lake import paths

if TYPE_CHECKING:
    from collector.lake.store import Store


def move_aside(store: Store, workspace: str, path: str) -> str:
    """Move a file below the folder of what is damaged, under the path that it had. Returns where it is now."""
    folder = paths.damaged(workspace)
    taken = store.list(folder)
    names = chain([f"{folder}/{path}"], (f"{folder}/{path}.{number}" for number in count(2)))
    to = next(name for name in names if name not in taken)
    store.move(path, to)
    return to
