"""A span of time as people write it, `1h30m`, to a timedelta: for the config's keys and the command line's options.

In: text. Out: a timedelta, zero or longer. No number without a unit but 0, no fractions, no months: each would be a
guess.
"""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=3660)
"""Ten years: longer ones are slips of the keyboard, and some would overflow a date."""

PATTERN = r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?"
_DURATION = re.compile(PATTERN)


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `10m`, `6h`, `1d`, `1h30m` or `0`; ValueError says what to write otherwise."""
    if text == "0":
        return timedelta()
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError("must be a duration of days, hours, minutes and seconds: write 10m, 6h, 1h30m, 1d or 0s")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total > LONGEST.total_seconds():
        raise ValueError(f"is too long a duration: write {LONGEST.days}d at most")
    return timedelta(seconds=total)
