"""From a lake's address to its store: a path is a folder, an address with `://` is a bucket."""

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

DEFAULT_STORAGE = Storage()

_EXTRA = "objects"
"""The extra of this package that lakes in object stores need."""

_PACKAGES = "boto3 obstore"
"""What the extra installs. The message names these: anybody could publish something under this package's own name."""


def store_factory(lake: str, storage: Storage = DEFAULT_STORAGE) -> Callable[[str], Store]:
    """A function from a workspace's name to its store. Raises LakeRefused if the extra for buckets is missing."""
    if "://" not in lake:
        return lambda workspace: LocalStore(Path(lake), paths.internal_folder(workspace))
    # Imported here: obstore is an optional extra, which lakes in folders do not need.
    try:
        from collector.lake.objects import Bucket, ObjectStore
    except ModuleNotFoundError as error:
        raise LakeRefused(
            f"lake {lake}: lakes in object stores require {error.name}, of the extra {_EXTRA}: "
            f"install it with pip install {_PACKAGES}"
        ) from error
    bucket = Bucket(lake, storage)
    return lambda _: ObjectStore(bucket)


def open_store(lake: str, workspace: str, storage: Storage = DEFAULT_STORAGE) -> Store:
    """The store of one workspace. Raises LakeRefused as `store_factory` does."""
    return store_factory(lake, storage)(workspace)
