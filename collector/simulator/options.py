"""Numbers that look random and never change: every choice of the stand-in is a hash of what it is about.

Which answers go wrong, and how: seeded, so that the same requests meet the same faults on every day and machine.

In: rates by kind of fault, a request's parameters. Out: the fault that this attempt of it meets, if any. How a fault
looks on the wire is told in `misbehaviour.py`.

All that can be chosen about the stand-in API, as one frozen value.

The enums are the points that the reference page leaves unsaid; a collector must be right under each of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping


_SCALE = 2.0**-64


def hash_unit(*parts: object) -> float:
    """A number from 0 up to, without, 1, that the parts alone decide."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") * _SCALE


class Fault(StrEnum):
    """What goes wrong. `OUTSIDE` and `REPEATED` are odd but allowed answers; every other one is no answer."""

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
    """`rates`: the share (0 to 1) of attempts that meet each fault, one at most for each attempt.

    `first_attempts`: only so many attempts of any one request are at risk; None: each is, on its own.
    `retry_after_seconds` goes with an injected 429 (None: no header). `slow_seconds`: what a slow answer takes.
    """

    rates: Mapping[Fault, float] = field(default_factory=lambda: MappingProxyType({}))
    first_attempts: int | None = None
    retry_after_seconds: int | None = 1
    slow_seconds: float = 5.0

    def __post_init__(self) -> None:
        """Refuse rates that are no shares."""
        for fault, rate in self.rates.items():
            if not 0 <= rate <= 1:
                raise ValueError(f"{fault.value}={rate}: a rate is a share from 0 to 1")
        total = sum(self.rates.values())
        if total > 1 + 1e-9:
            raise ValueError(f"the rates add up to {total:g}; an attempt meets one fault at most, so 1 is the most")


NO_FAULTS = Faults()


def parse_rates(text: str) -> dict[Fault, float]:
    """Read `500=0.05,503=0.02`. ValueError says what is wrong and what to write."""
    rates: dict[Fault, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, number = (word.strip() for word in part.partition("="))
        if not equals:
            raise ValueError(f"{part!r}: write NAME=RATE, such as 500=0.05")
        fault = _fault_named(name)
        if fault in rates:
            raise ValueError(f"{name} stands twice")
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
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"no fault is called {name!r}: {hint}the faults are {', '.join(names)}") from None


class FaultDraw:
    """Deals out the faults. It counts how many times each request has come, and nothing else changes in it."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._seed = seed
        self._attempts: Counter[Hashable] = Counter()

    def draw(self, request: Hashable) -> Fault | None:
        """The fault that this attempt of the request meets."""
        if not self.faults.rates:
            return None
        attempt = self._attempts[request]
        self._attempts[request] += 1
        if self.faults.first_attempts is not None and attempt >= self.faults.first_attempts:
            return None
        left = hash_unit(self._seed, "fault", request, attempt)
        for fault, rate in self.faults.rates.items():
            left -= rate
            if left < 0:
                return fault
        return None


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
