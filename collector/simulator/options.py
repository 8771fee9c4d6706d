"""All options of the simulated API, as frozen values; its injected faults; and the hash behind its random choices.

The enums are the points that the reference page leaves open: a collector must be correct under each of them. Nothing is
random here. Each choice is a hash of the seed and of what it concerns, so the same requests get the same counts and the
same faults on each day and machine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from collector.metrics import QuotaGroup


_SCALE = 2.0**-64


def hash_unit(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone: the same on each day and machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") * _SCALE


class Fault(StrEnum):
    """What can go wrong. `OUTSIDE` and `REPEATED` are unusual but valid answers; all others are failures."""

    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    TOO_MANY = "429"
    RESET = "reset"
    CUT = "cut"
    TRUNCATED = "truncated"
    SLOW = "slow"
    FRACTIONAL = "fractional"
    NEGATIVE = "negative"
    TEXT = "text"
    NO_DATA = "no-data"
    NOT_SUCCESS = "not-success"
    QUEUED = "queued"
    HTML = "html"
    CONFLICT = "conflict"
    OFF_BUCKET = "off-bucket"
    ELSEWHERE = "elsewhere"
    OUTSIDE = "outside"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Faults:
    """`rates`: the share (0 to 1) of attempts that get each fault. An attempt gets at most one fault.

    `first_attempts`: only the first N attempts of a request can fail; None: any attempt can.
    `retry_after_seconds` is sent with an injected 429 (None: no header). `slow_seconds`: the delay of a slow answer.
    """

    rates: Mapping[Fault, float] = field(default_factory=lambda: MappingProxyType({}))
    first_attempts: int | None = None
    retry_after_seconds: int | None = 1
    slow_seconds: float = 5.0

    def __post_init__(self) -> None:
        """ValueError for rates that are not shares, or that add up to more than 1."""
        for fault, rate in self.rates.items():
            if not 0 <= rate <= 1:
                raise ValueError(f"{fault.value}={rate}: a rate is a number from 0 to 1")
        total = sum(self.rates.values())
        if total > 1 + 1e-9:
            raise ValueError(f"the rates add up to {total:g}: an attempt gets at most one fault, so at most 1")


NO_FAULTS = Faults()


def parse_rates(text: str) -> dict[Fault, float]:
    """Parse `500=0.05,503=0.02`. ValueError says what is wrong and what to write."""
    rates: dict[Fault, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, number = (word.strip() for word in part.partition("="))
        if not equals:
            raise ValueError(f"{part!r}: write NAME=RATE, such as 500=0.05")
        fault = _fault_named(name)
        if fault in rates:
            raise ValueError(f"{name} appears twice")
        try:
            rates[fault] = float(number)
        except ValueError:
            raise ValueError(f"{part!r}: the rate is a number from 0 to 1, such as {name}=0.05") from None
    return rates


def _fault_named(name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        names = [fault.value for fault in Fault]
        close = get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"unknown fault {name!r}: {hint}the faults are {', '.join(names)}") from None


class FaultDraw:
    """Chooses the fault of each attempt. Its only state is the number of attempts of each request."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._seed = seed
        self._attempts: Counter[Hashable] = Counter()

    def draw(self, request: Hashable) -> Fault | None:
        """The fault of the next attempt of this request, or None."""
        if not self.faults.rates:
            return None
        attempt = self._attempts[request]
        self._attempts[request] += 1
        if self.faults.first_attempts is not None and attempt >= self.faults.first_attempts:
            return None
        # One number picks the fault: the rates are laid end to end on [0, 1), and it falls into one of them or none.
        left = hash_unit(self._seed, "fault", request, attempt)
        for fault, rate in self.faults.rates.items():
            left -= rate
            if left < 0:
                return fault
        return None


class HourFormat(StrEnum):
    """How an hour's `time` is written. The reference page says only "ISO 8601 extended"."""

    NAIVE = "naive"
    NAIVE_LOCAL = "naive-local"
    Z = "z"
    OFFSET = "offset"
    LOCAL_OFFSET = "local-offset"
    FRACTION = "fraction"


class Boundary(StrEnum):
    """Whether an `ending_at` at the exact start of a bucket includes that bucket."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class DayZone(StrEnum):
    """The time zone whose midnight starts a day."""

    WORKSPACE = "workspace"
    UTC = "utc"


class Order(StrEnum):
    """The order of the points in an answer."""

    SORTED = "sorted"
    SHUFFLED = "shuffled"


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """The quota: `limit` requests in each `period_seconds`, for each workspace. Braze: 250,000 in each clock hour.

    `retry_after_seconds` is sent with the 429 of a used-up quota; None: no header, since Braze documents none.
    """

    limit: int = 250_000
    period_seconds: int = 3600
    retry_after_seconds: int | None = None

    def __post_init__(self) -> None:
        """ValueError for a quota that serves no request."""
        if self.limit < 1 or self.period_seconds < 1:
            raise ValueError("the quota's limit and period must be at least 1")


@dataclass(frozen=True, slots=True)
class LateOptions:
    """Sessions that arrive late: at first up to `share` of an hour, less each day, and none after `days` days."""

    share: float = 0.08
    days: int = 10

    def __post_init__(self) -> None:
        """ValueError for a share outside [0, 1) or a negative number of days."""
        if not 0 <= self.share < 1 or self.days < 0:
            raise ValueError("the late share must be at least 0 and below 1, and the late days must not be negative")


NEVER_LATE = LateOptions(share=0.0, days=0)
"""No restatements: a bucket is complete when it closes."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is served and how. Apps and segments are given by name or id, and are checked by `Simulation`.

    `latency_ms` is (minimum, maximum). `absent_share` is the share of buckets that are left out. `young`: an app has no
    points before its own `start`. `untracked` segments report zeros; `dead` apps and segments give a 400; `denied`
    workspaces, or metrics of them (`acme/dau`), give a 403. `own_pool`: requests in a period of each quota other than
    the shared one; None: as the catalogue says.
    """

    seed: int = 0
    pool: PoolOptions = PoolOptions()
    own_pool: int | None = None
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

    def pool_of(self, quota: QuotaGroup) -> PoolOptions:
        """The options of a quota of the catalogue."""
        return self.pool if quota.per_hour is None else replace(self.pool, limit=self.own_pool or quota.per_hour)
