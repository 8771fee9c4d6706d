"""What the lake remembers of each workspace: the layout's version, and the zone that its days were cut in."""

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
    """Whether the lake remembers the workspace, just as the config has it.

    Raises LakeRefused where it remembers another zone, or was written by a newer program.
    """
    remembered = get(store, paths.metadata(workspace))
    if remembered is None:
        return False
    said = _parse(remembered[0], paths.metadata(workspace))
    if said["schema_version"] > VERSION:
        raise LakeRefused(
            f"workspace {workspace}: the lake was written by a newer collector (layout {said['schema_version']}, this "
            f"one writes {VERSION}). Upgrade the collector; nothing was read or written"
        )
    if said["timezone"] != timezone:
        raise LakeRefused(
            f"workspace {workspace}: its days in the lake are cut in {said['timezone']}, the config says {timezone}: "
            f"its rows would mean something else. Put `timezone: {said['timezone']}` back; or collect anew, under "
            f"another workspace name or into another lake; or remove each workspace={workspace} folder of the lake and "
            f"{paths.internal_folder(workspace)}, and run with a `start`"
        )
    return True


def write_metadata(store: Store, workspace: str, timezone: str) -> None:
    """Write down a workspace that `check` did not find."""
    put(store, paths.metadata(workspace), orjson.dumps({"schema_version": VERSION, "timezone": timezone}), NO_FILE)


def _parse(data: bytes, path: str) -> Mapping[str, Any]:
    try:
        said = orjson.loads(data)
        return {"schema_version": int(said["schema_version"]), "timezone": str(said["timezone"])}
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"{path} cannot be read. It holds the workspace's time zone and the lake's layout: write "
            f'{{"schema_version": {VERSION}, "timezone": "…"}} with the zone that the workspace always had'
        ) from error
