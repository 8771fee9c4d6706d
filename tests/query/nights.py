"""Eight nights of two workspaces, served by the stand-in: the lake for the examples of docs/queries.md.

Clock and counts are fixed, so queries give the same results on each day and machine.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from collector.simulator.server import running
from collector.simulator.simulation import Simulation
from tests.support.night import Night, make_document

if TYPE_CHECKING:
    from pathlib import Path

LAST = datetime(2026, 11, 23, 17, tzinfo=UTC)
"""Past midnight in both time zones."""
ACME = {
    "name": "acme",
    "timezone": "America/New_York",
    "apps": [{"name": "ios", "id": "acme-ios"}, {"name": "android", "id": "acme-android"}],
    "segments": [{"name": "vip", "id": "acme-vip"}, {"name": "new_users", "id": "acme-new-users"}],
}
GLOBEX = {
    "name": "globex",
    "timezone": "Asia/Tokyo",
    "apps": [{"name": "ios", "id": "globex-ios"}],
    "segments": [{"name": "loyal", "id": "globex-loyal"}],
    "scopes": ["app", "app_segment", "workspace", "workspace_segment"],
}
METRICS = {"metrics": ["sessions", "dau", "mau", "segment_size", "events", "revenue"], "events": ["checkout_completed"]}


def eight_nights(folder: Path) -> Night:
    """A lake from 2026-11-01 on, with one night with a wrong key, and at the end some days of an earlier month."""
    night = Night(folder, make_document("http://127.0.0.1:1", ACME, GLOBEX, start="2026-11-01", **METRICS))
    simulation = Simulation(night.settings().workspaces, now=LAST)
    with running(simulation) as url:
        for workspace in night.document["workspaces"]:
            workspace["endpoint"] = url
        night.write()
        for back in reversed(range(8)):
            simulation.now = LAST - timedelta(days=back)
            wrong = {"KEY_GLOBEX": "not-the-key"} if back == 3 else {}
            assert night.run(simulation.now, environ=wrong).exit_code == (3 if wrong else 0)
        night.document["defaults"]["start"] = "2026-10-20"
        night.write()
        assert night.run(LAST, "--from", "2026-10-20", "--to", "2026-10-25", "--app", "ios").exit_code == 0
    return night
