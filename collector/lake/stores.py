"""Which store a lake's address calls for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collector.config.settings import Storage
from collector.lake import paths
from collector.lake.local import LocalStore
from collector.lake.store import LakeRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.lake.store import Store

AS_THE_CLOUD_SAYS = Storage()

EXTRA = "objects"
"""What is to be installed for lakes in object stores."""


def store_factory(lake: str, storage: Storage = AS_THE_CLOUD_SAYS) -> Callable[[str], Store]:
    """What opens the lake as a workspace's run sees it. Raises LakeRefused where that takes what is not installed."""
    if "://" not in lake:
        return lambda workspace: LocalStore(Path(lake), paths.internal_folder(workspace))
    try:
        from collector.lake.objects import Bucket, ObjectStore
    except ModuleNotFoundError as error:
        raise LakeRefused(
            f"lake {lake}: lakes in object stores need {error.name}, which is not installed: "
            f"pip install 'braze-session-collector[{EXTRA}]'"
        ) from error
    bucket = Bucket(lake, storage)
    return lambda _: ObjectStore(bucket)


def open_store(lake: str, workspace: str, storage: Storage = AS_THE_CLOUD_SAYS) -> Store:
    """The lake as one workspace's run sees it. Raises LakeRefused as `store_factory` does."""
    return store_factory(lake, storage)(workspace)
