"""`workspace.json`: the layout's version and the time zone that a workspace's data in the lake was written with.

The footer of the coverage names the zone as well, for a lake whose `_collector/` was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import orjson
import pyarrow.compute as pc

from collector.buckets import date_of, midnight
from collector.lake import coverage_table, paths
from collector.lake.store import LakeError, LakeRefused, get, put
from collector.lake.tables import VERSION, check_layout
from collector.model import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pyarrow as pa

    from collector.lake.store import Store


def check_metadata(store: Store, workspace: str, zone: ZoneInfo) -> bool:
    """Whether the workspace has metadata in the lake with this zone's name; if not, it is to be written.

    Raises LakeRefused if another version of the collector wrote the lake, or if a covered day begins at another instant
    in `zone` than in the zone that the lake's rows use. Another name of the same zone is no other zone.
    """
    path = paths.metadata(workspace)
    found = get(store, path)
    metadata = _parse(found[0], path) if found is not None else {}
    if metadata:
        check_layout(workspace, metadata["schema_version"])
        if metadata["timezone"] == zone.key:
            return True
    coverage = coverage_table.read(store, workspace)
    before = metadata.get("timezone") or coverage.zone
    if before and before != zone.key and _some_day_differs(coverage.spans, before, zone):
        raise LakeRefused(
            f"workspace {workspace}: the lake's rows use the time zone {before}, but the config says {zone.key}. Daily "
            f"rows of the two cannot be mixed. Restore `timezone: {before}`; or collect under another workspace name "
            f"or into another lake; or delete each workspace={workspace} folder of the lake and "
            f"{paths.internal_folder(workspace)}, and run with a `start`"
        )
    return False


def write_metadata(store: Store, workspace: str, zone: ZoneInfo) -> None:
    """Write the metadata of a workspace that is new, or whose zone has another name now."""
    put(store, paths.metadata(workspace), orjson.dumps({"schema_version": VERSION, "timezone": zone.key}))


def _some_day_differs(spans: pa.Table, before: str, zone: ZoneInfo) -> bool:
    """Whether any covered day begins at another instant in `zone`."""
    try:
        old = ZoneInfo(before)
    except (ValueError, OSError, LookupError):  # a name that this machine does not know (any more)
        return True
    days = spans.filter(pc.equal(spans["unit"], Unit.DAY.value)).select(["first", "stop"]).group_by(["first", "stop"])
    # The spans of thousands of series are a handful, and each day is compared: two zones may agree at both ends of a
    # year and differ in summer.
    covered = {bucket for row in days.aggregate([]).to_pylist() for bucket in range(row["first"], row["stop"])}
    return any(midnight(date_of(bucket), old) != midnight(date_of(bucket), zone) for bucket in covered)


def _parse(data: bytes, path: str) -> Mapping[str, Any]:
    try:
        content = orjson.loads(data)
        return {"schema_version": int(content["schema_version"]), "timezone": str(content["timezone"])}
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"{path} cannot be read. It contains the workspace's time zone and the version of the lake's layout: write "
            f'{{"schema_version": {VERSION}, "timezone": "…"}} with the time zone that the workspace has always had'
        ) from error
