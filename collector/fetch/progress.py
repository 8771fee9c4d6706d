"""How far the requests of a workspace have come. The fetcher and its limiter write it; what shows progress reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True)
class FetchProgress:
    """How far a workspace has come. May be read at any moment. `done`, `failed`, `skipped`, `planned` count windows."""

    name: str
    planned: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    attempts: int = 0
    in_flight: int = 0
    rows: int = 0
    quota_remaining: int | None = None
    quota_limit: int | None = None
    paused_until: datetime | None = None
    note: str = ""
