"""What the command line's options hold, as click types: each refuses what it cannot read and says what to write."""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from collector.config.values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable


class InstantType(click.ParamType[datetime]):
    """ISO 8601 with an offset; given in UTC."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant: write one such as 2026-11-23T03:00:00Z", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no offset: add Z, or one such as -05:00", param, ctx)
        return instant.astimezone(UTC)


class DateType(click.ParamType[date]):
    """A calendar date."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read it."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date: write one such as 2026-11-01", param, ctx)


class DeadlineType(click.ParamType[float]):
    """`HH:MM`, the next such time on this machine's clock, or a duration; given as seconds from now."""

    name = "hh:mm|duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        if isinstance(value, float):
            return value
        try:
            if ":" in value:
                return _seconds_until(datetime.strptime(value, "%H:%M"), datetime.now().astimezone())  # noqa: DTZ007
            seconds = parse_duration(value).total_seconds()
        except ValueError:
            self.fail(f"{value!r} is no time or duration: write one such as 06:30, 45m or 2h", param, ctx)
        if seconds <= 0:
            self.fail("a deadline lies ahead: write more than 0s", param, ctx)
        return seconds


def require_known(kind: str, given: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """The names given, all of which must be known. Raises UsageError with the nearest known one."""
    names, known = frozenset(given), sorted(known)
    for name in sorted(names.difference(known)):
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        raise click.UsageError(f"the config has no {kind} {name!r}; {hint}")
    return names


def _seconds_until(clock_time: datetime, now: datetime) -> float:
    at = now.replace(hour=clock_time.hour, minute=clock_time.minute, second=0, microsecond=0, tzinfo=None)
    for day in (0, 1):
        instant = (at + timedelta(days=day)).astimezone()
        if instant > now:
            return (instant - now).total_seconds()
    raise AssertionError("a time of day comes within a day")
