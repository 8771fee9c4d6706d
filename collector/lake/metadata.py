"""`workspace.json`: the layout's version and the time zone that a workspace's data in the lake was written with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from collector.lake import paths
from collector.lake.store import NO_FILE, LakeError, LakeRefused, get, put
from collector.lake.tables import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from collector.lake.store import Store


def check_metadata(store: Store, workspace: str, timezone: str) -> bool:
    """Whether the workspace has metadata in the lake; it is compared with the config's time zone.

    Raises LakeRefused if the zone differs, or a newer version of the collector wrote the lake.
    """
    path = paths.metadata(workspace)
    found = get(store, path)
    if found is None:
        return False
    metadata = _parse(found[0], path)
    if metadata["schema_version"] > VERSION:
        raise LakeRefused(
            f"workspace {workspace}: the lake was written by a newer collector (layout {metadata['schema_version']}, "
            f"this one writes {VERSION}). Upgrade the collector; nothing was read or written"
        )
    if metadata["timezone"] != timezone:
        raise LakeRefused(
            f"workspace {workspace}: the lake's rows use the time zone {metadata['timezone']}, but the config says "
            f"{timezone}. Daily rows of the two cannot be mixed. Restore `timezone: {metadata['timezone']}`; or "
            "collect under another workspace name or into another lake; or delete each "
            f"workspace={workspace} folder of the lake and {paths.internal_folder(workspace)}, and run with a `start`"
        )
    return True


def write_metadata(store: Store, workspace: str, timezone: str) -> None:
    """Create the metadata of a new workspace. Raises Conflict if it exists."""
    put(store, paths.metadata(workspace), orjson.dumps({"schema_version": VERSION, "timezone": timezone}), NO_FILE)


def _parse(data: bytes, path: str) -> Mapping[str, Any]:
    try:
        content = orjson.loads(data)
        return {"schema_version": int(content["schema_version"]), "timezone": str(content["timezone"])}
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"{path} cannot be read. It contains the workspace's time zone and the version of the lake's layout: write "
            f'{{"schema_version": {VERSION}, "timezone": "…"}} with the time zone that the workspace has always had'
        ) from error
