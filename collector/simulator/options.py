"""All that can be chosen about the stand-in API, as one frozen value.

The enums are the points that the reference page leaves unsaid; a collector must be right under each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HourFormat(StrEnum):
    """How an hour's `time` is written; the page says no more than "ISO 8601 extended"."""

    NAIVE = "naive"
    NAIVE_LOCAL = "naive-local"
    Z = "z"
    OFFSET = "offset"
    LOCAL_OFFSET = "local-offset"
    FRACTION = "fraction"


class Boundary(StrEnum):
    """Whether an `ending_at` that is exactly the start of a bucket includes that bucket."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class DayZone(StrEnum):
    """The zone in which a day is cut."""

    WORKSPACE = "workspace"
    UTC = "utc"


class Order(StrEnum):
    """The order of the points in an answer."""

    SORTED = "sorted"
    SHUFFLED = "shuffled"


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """`limit` requests in each `period_seconds` of the clock, for each workspace; Braze: 250,000 in each clock hour.

    `retry_after_seconds` goes with an empty pool's 429; None: no such header, as Braze documents none.
    """

    limit: int = 250_000
    period_seconds: int = 3600
    retry_after_seconds: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would serve no request."""
        if self.limit < 1 or self.period_seconds < 1:
            raise ValueError("the pool's limit and period must be at least 1")


@dataclass(frozen=True, slots=True)
class LateOptions:
    """Sessions that arrive late: at most `share` of an hour at first, less with each day, none after `days` days."""

    share: float = 0.08
    days: int = 10

    def __post_init__(self) -> None:
        """Refuse a share that would take more than all."""
        if not 0 <= self.share < 1 or self.days < 0:
            raise ValueError("the late share must be from 0 up to, without, 1, and its days not negative")


NEVER_LATE = LateOptions(share=0.0, days=0)
"""No restatements: a closed bucket is complete at once."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is served and how. Names may be given as names or ids; all of them are checked when the simulation is made.

    `latency_ms` is (least, most). `absent_share` of the buckets are not reported. `young`: an app has no points before
    its own `start`. `untracked` segments answer zeros; `dead` apps and segments, 400; `denied` workspaces, 403.
    """

    seed: int = 0
    pool: PoolOptions = PoolOptions()
    late: LateOptions = LateOptions()
    hour_format: HourFormat = HourFormat.OFFSET
    boundary: Boundary = Boundary.INCLUSIVE
    day_zone: DayZone = DayZone.WORKSPACE
    order: Order = Order.SORTED
    extra_fields: bool = False
    young: bool = True
    absent_share: float = 0.0
    untracked: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    latency_ms: tuple[float, float] = (0.0, 0.0)
