"""What the command line's options mean: text to instants, ranges and rates, and all of them to options and faults."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from collector.simulator.options import (
    NEVER_LATE,
    Boundary,
    DayZone,
    Fault,
    Faults,
    HourFormat,
    LateOptions,
    Options,
    Order,
    PoolOptions,
    parse_rates,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class InstantType(click.ParamType[Any]):
    """ISO 8601 with an offset."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it, or say what to write."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant: write it as 2026-11-23T06:00:00Z", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no offset: write {value}Z for UTC, or such as {value}-05:00", param, ctx)
        return instant


class LatencyType(click.ParamType[Any]):
    """Milliseconds, one number or a range."""

    name = "ms"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Read `20` or `5-50`, or say what to write."""
        if isinstance(value, tuple):
            return value
        least, _, most = str(value).partition("-")
        try:
            pair = (float(least), float(most or least))
        except ValueError:
            pair = (-1.0, -1.0)
        if not 0 <= pair[0] <= pair[1] < float("inf"):
            self.fail(f"{value!r}: write milliseconds as 20, or least and most as 5-50", param, ctx)
        return pair


class RatesType(click.ParamType[Any]):
    """Faults with their rates."""

    name = "rates"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[Fault, float]:
        """Read `500=0.05,503=0.02`, or say what is wrong."""
        if not isinstance(value, str):
            rates: Mapping[Fault, float] = value
            return rates
        try:
            return Faults(parse_rates(value)).rates
        except ValueError as error:
            self.fail(str(error), param, ctx)


INSTANT: Final = InstantType()
LATENCY: Final = LatencyType()
RATES: Final = RatesType()


def options_from(values: Mapping[str, Any]) -> Options:
    """The options that the command line chose."""
    return Options(
        seed=values["seed"],
        pool=PoolOptions(values["pool"], values["period"]),
        late=LateOptions(values["late_share"], values["late_days"]) if values["restate"] else NEVER_LATE,
        hour_format=HourFormat(values["hour_format"]),
        boundary=Boundary(values["ending_at"]),
        day_zone=DayZone(values["day_zone"]),
        order=Order(values["order"]),
        extra_fields=values["extra_fields"],
        young=values["young"],
        absent_share=values["absent"],
        untracked=frozenset(values["untracked"]),
        dead=frozenset(values["dead"]),
        denied=frozenset(values["denied"]),
        latency_ms=values["latency"],
    )


def faults_from(values: Mapping[str, Any]) -> Faults:
    """The faults that the command line chose."""
    wait = None if values["no_retry_after"] else values["retry_after"]
    return Faults(values["faults"], values["fault_attempts"], wait, values["slow_seconds"])
