"""Types of command-line options: text in, a checked value out.

A value that cannot be read is a usage error that names the value and shows what to write.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from collector.config.values import EARLIEST, LATEST, parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from collector.simulator.options import Fault


FIRST_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(2100, 1, 1, tzinfo=UTC)
"""Around all that can be collected. No lookback, `settle` or time zone leads from there out of the calendar."""


class InstantType(click.ParamType[datetime]):
    """ISO 8601 with an offset, converted to UTC."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant in UTC, from FIRST_INSTANT to LAST_INSTANT."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a valid instant: write one such as 2026-11-23T03:00:00Z", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no offset: add Z for UTC, or an offset such as -05:00", param, ctx)
        if not FIRST_INSTANT <= instant <= LAST_INSTANT:
            self.fail(f"{value!r} is out of range: write an instant from 2000-01-01 to 2100-01-01, in UTC", param, ctx)
        return instant.astimezone(UTC)


class DateType(click.ParamType[date]):
    """A calendar date, within the range of the config's dates."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The date, without a time zone."""
        if isinstance(value, date):
            return value
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a valid date: write YYYY-MM-DD, such as 2026-11-01", param, ctx)
        if not EARLIEST <= day <= LATEST:
            self.fail(f"{value!r} is out of range: write a date from {EARLIEST} to {LATEST}", param, ctx)
        return day


class DeadlineType(click.ParamType[float]):
    """`HH:MM`, the next such time on this machine's clock, or a duration."""

    name = "hh:mm|duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds from now, above 0."""
        if isinstance(value, float):
            return value
        try:
            if ":" in value:
                now = datetime.now(UTC)
                return (next_time(datetime.strptime(value, "%H:%M").time(), now, None) - now).total_seconds()  # noqa: DTZ007
            seconds = parse_duration(value).total_seconds()
        except ValueError:
            self.fail(
                f"{value!r} is not a valid deadline: write a time or a duration, such as 06:30, 45m or 2h", param, ctx
            )
        if seconds <= 0:
            self.fail("the deadline must be in the future: write a duration above 0s", param, ctx)
        return seconds


class DurationType(click.ParamType[float]):
    """A duration, such as 30h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value).total_seconds()
        except ValueError:
            self.fail(f"{value!r} is not a valid duration: write it as 30h, 90m or 2d", param, ctx)


class LatencyType(click.ParamType[tuple[float, float]]):
    """Milliseconds: one number, or a range."""

    name = "ms"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """The least and the most milliseconds."""
        if isinstance(value, tuple):
            return value
        least, _, most = str(value).partition("-")
        try:
            pair = (float(least), float(most or least))
        except ValueError:
            pair = (-1.0, -1.0)
        if not 0 <= pair[0] <= pair[1] < float("inf"):
            self.fail(f"{value!r} is not a valid latency: write milliseconds as 20, or a range as 5-50", param, ctx)
        return pair


class FaultRatesType(click.ParamType["Mapping[Fault, float]"]):
    """Faults of the simulated API with their rates: `500=0.05,503=0.02`."""

    name = "rates"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[Fault, float]:
        """Each fault's share of the attempts, from 0 to 1."""
        from collector.simulator.options import Faults, parse_rates

        if not isinstance(value, str):
            rates: Mapping[Fault, float] = value
            return rates
        try:
            return Faults(parse_rates(value)).rates
        except ValueError as error:
            self.fail(str(error), param, ctx)


INSTANT: Final = InstantType()
DATE: Final = DateType()
DEADLINE: Final = DeadlineType()
DURATION: Final = DurationType()
LATENCY: Final = LatencyType()
FAULT_RATES: Final = FaultRatesType()


def next_time(wall: time, now: datetime, zone: tzinfo | None) -> datetime:
    """The first instant after `now`, in UTC, at which a clock in the zone shows `wall` (None: the machine's zone).

    Where a change of the clocks skips the time, that is the instant of the change. Where it repeats the time, the clock
    shows it at two instants.
    """
    today = now.astimezone(zone).date()
    # From yesterday on: clocks that are set back by midnight show times of yesterday after those of today.
    days = (today + timedelta(days=ahead) for ahead in (-1, 0, 1, 2))
    instants = [at for day in days for at in _instants(datetime.combine(day, wall), zone)]
    return min(at for at in instants if at > now)


def _instants(local: datetime, zone: tzinfo | None) -> list[datetime]:
    """When a clock in the zone shows the local time: once, or twice, or, for a skipped time, when it jumps over it."""
    # `fold` chooses between the offsets of before and after a change of the clocks. Not by `astimezone`, which takes a
    # time that the machine's zone skips for another one than `timestamp` does.
    stamps = (local.replace(fold=fold, tzinfo=zone).timestamp() for fold in (0, 1))
    before, after = (datetime.fromtimestamp(stamp, UTC) for stamp in stamps)
    if before <= after:
        return [before, after]
    # With the offset of before the change, a skipped time lies after it, and with that of after it, before it.
    return [_change_between(after, before, zone)]


def _change_between(early: datetime, late: datetime, zone: tzinfo | None) -> datetime:
    """The instant, to the second, from which on the zone has the offset that it has at `late`."""
    offset = late.astimezone(zone).utcoffset()
    seconds = int((late - early).total_seconds())
    position = bisect_left(
        range(seconds),
        True,
        key=lambda second: (early + timedelta(seconds=second)).astimezone(zone).utcoffset() == offset,
    )
    return early + timedelta(seconds=position)
