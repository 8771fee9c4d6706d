"""Which answers go wrong, and how: seeded, so that the same requests meet the same faults on every day and machine.

In: rates by kind of fault, a request's parameters. Out: the fault that this attempt of it meets, if any. How a fault
looks on the wire is told in `misbehaviour.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from collector.simulator.chance import chance

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping


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
        left = chance(self._seed, "fault", request, attempt)
        for fault, rate in self.faults.rates.items():
            left -= rate
            if left < 0:
                return fault
        return None
