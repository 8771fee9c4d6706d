"""What a lane has done so far, for whoever shows it while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True)
class LaneProgress:
    """Counts that grow while the lane works; written by the lane alone, to be read at any moment.

    `done`, `failed`, `skipped` count windows and end up making `planned`; `attempts` counts HTTP requests; `rows` the
    points answered. `pool_remaining` is the lowest told in this period. `note` is why the lane stopped, in one line.
    """

    name: str
    planned: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    in_flight: int = 0
    attempts: int = 0
    rows: int = 0
    pool_remaining: int | None = None
    pool_limit: int | None = None
    paused_until: datetime | None = None
    note: str = ""
