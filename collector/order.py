"""What one run is asked to do, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.plan import EVERYTHING, Narrowing

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Order:
    """`as_of` pins what is closed, what is fresh, and `collected_at`; `max_requests` bounds the windows sent."""

    run_id: str
    as_of: datetime
    narrowing: Narrowing = EVERYTHING
    max_requests: int | None = None
