"""Types of command-line options: text in, a checked value out.

A value that cannot be read is a usage error that names the value and shows what to write.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from collector.config.values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.simulator.options import Fault


class InstantType(click.ParamType[datetime]):
    """ISO 8601 with an offset, converted to UTC."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a valid instant: write one such as 2026-11-23T03:00:00Z", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no offset: add Z for UTC, or an offset such as -05:00", param, ctx)
        try:
            return instant.astimezone(UTC)
        except OverflowError:  # 0001-01-01 or 9999-12-31 with an offset that leads out of the calendar
            self.fail(f"{value!r} is out of range: write one such as 2026-11-23T03:00:00Z", param, ctx)


class DateType(click.ParamType[date]):
    """A calendar date."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The date, without a time zone."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a valid date: write YYYY-MM-DD, such as 2026-11-01", param, ctx)


class DeadlineType(click.ParamType[float]):
    """`HH:MM`, the next such time on this machine's clock, or a duration."""

    name = "hh:mm|duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds from now, above 0."""
        if isinstance(value, float):
            return value
        try:
            if ":" in value:
                return _seconds_until(datetime.strptime(value, "%H:%M"), datetime.now().astimezone())  # noqa: DTZ007
            seconds = parse_duration(value).total_seconds()
        except ValueError:
            self.fail(
                f"{value!r} is not a valid deadline: write a time or a duration, such as 06:30, 45m or 2h", param, ctx
            )
        if seconds <= 0:
            self.fail("the deadline must be in the future: write a duration above 0s", param, ctx)
        return seconds


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
LATENCY: Final = LatencyType()
FAULT_RATES: Final = FaultRatesType()


def _seconds_until(clock_time: datetime, now: datetime) -> float:
    """Seconds to the next such time of day. Both days are tried, since a clock change may move or skip the time."""
    at = now.replace(hour=clock_time.hour, minute=clock_time.minute, second=0, microsecond=0, tzinfo=None)
    for day in (0, 1):
        instant = (at + timedelta(days=day)).astimezone()
        if instant > now:
            return (instant - now).total_seconds()
    raise AssertionError("a time of day comes within a day")
