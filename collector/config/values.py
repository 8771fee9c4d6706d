"""What single values of the file may be: names, dates, zones, lakes, key references.

In: a value as YAML gave it. Out: the value to go on with, or ValueError with a sentence that says what to write. Pure,
but for the zones, which are looked up in the machine's zone tables.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from collector.config.durations import parse_duration
from collector.config.mistake import shown

EARLIEST = date(2000, 1, 1)
LATEST = date(2999, 12, 31)
LONGEST_NAME = 63
LONGEST_TEXT = 255
LONGEST_PATH = 1024

WORKSPACE_NAME = r"[a-z][a-z0-9_-]*"
API_KEY = r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}"
LAKE_SCHEMES = ("s3", "gs", "abfs")

NO_NAMES = frozenset(
    {"true", "false", "yes", "no", "on", "off", "null", "none", "nil", "na", "nan", "inf", "infinity"}
    | {"epoch", "now", "today", "tomorrow", "yesterday"}
)
"""A workspace's name is a partition value, and some engine reads each of these as another type than text."""

LITERAL_KEY = "does not name an environment variable: a key belongs in the environment, write ${NAME_OF_VARIABLE}"
"""Said of any api_key that is not a reference, whatever it is: it may be a key, so it is never shown."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)", re.DOTALL)
_OTHER_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs", "adl": "abfs", "wasbs": "abfs"}


def read_date(value: object) -> date:
    """Read `2026-10-01`."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{shown(value)} is no day of the calendar: write one such as 2026-10-01") from None
        if EARLIEST <= day <= LATEST:
            return day
        raise ValueError(f"lies outside {EARLIEST} to {LATEST}: write a date in between, or leave the key out")
    found = f", not {shown(value)}" if isinstance(value, str) else ""
    raise ValueError(f"must be a date{found}: write it as 2026-10-01")


def read_duration(value: object) -> timedelta:
    """Read `10m`; a bare 0, which YAML gives as a number, too."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value == 0:
            return timedelta()
        raise ValueError("is a number without a unit: write days, hours, minutes or seconds, such as 10m or 6h")
    raise ValueError("must be a duration: write 10m, 6h, 1h30m, 1d or 0s")


def workspace_name(text: str) -> str:
    """Refuse what could not be a partition value that every engine reads as text."""
    if text in NO_NAMES:
        raise ValueError(
            f"{text} is read as another type than text by query engines: write another name, such as {text}-1"
        )
    if len(text) > LONGEST_NAME:
        raise ValueError(f"has {len(text)} characters: write {LONGEST_NAME} at most")
    if not re.fullmatch(WORKSPACE_NAME, text):
        raise ValueError(
            f"{shown(text)} cannot name a workspace: write a lower-case letter, then lower-case letters, digits, _ or -"
        )
    return text


def printable(text: str, longest: int = LONGEST_TEXT) -> str:
    """Refuse text that is empty, padded, too long or holds what nobody can see."""
    if not text:
        raise ValueError("is empty: write some text")
    if len(text) > longest:
        raise ValueError(f"has {len(text)} characters: write {longest} at most")
    if not text.isprintable():
        raise ValueError("holds a line break or another unprintable character: write printable text on one line")
    if text != text.strip():
        raise ValueError("begins or ends with a blank: remove it")
    return text


def file_path(text: str) -> str:
    """Refuse what a shell would have expanded but this program does not."""
    if "${" in text:
        raise ValueError("holds ${…}, which is read in api_key alone: write it out")
    if text.startswith("~"):
        raise ValueError("begins with ~, which is not expanded here: write the whole path")
    return printable(text, LONGEST_PATH)


def plain(text: str) -> str:
    """Refuse references: what differs from machine to machine has variables of the cloud's own."""
    if "${" in text:
        raise ValueError(
            "holds ${…}, which is read in api_key alone: write it out, or leave the key out and set the cloud's own "
            "variable, such as AWS_REGION or AZURE_STORAGE_ACCOUNT_NAME"
        )
    return printable(text)


def zone_name(text: str) -> str:
    """Refuse what is no IANA time zone, with the nearest one."""
    try:
        ZoneInfo(printable(text))
    except (KeyError, ValueError, OSError):
        nearest = _nearest_zone(text)
        hint = f"write {nearest}" if nearest else "write an IANA name such as America/New_York"
        raise ValueError(f"unknown time zone {shown(text)}: {hint}") from None
    return text


def _nearest_zone(text: str) -> str | None:
    names: dict[str, str] = {}
    for zone in sorted(available_timezones()):
        names[zone.rpartition("/")[2].lower()] = zone
    names |= {zone.lower(): zone for zone in available_timezones()}
    found = get_close_matches(text[:LONGEST_TEXT].strip().replace(" ", "_").lower(), names, n=1)
    return names[found[0]] if found else None


def lake(text: str) -> str:
    """Refuse what is neither a folder nor the URL of a known object store."""
    url = _URL.fullmatch(file_path(text))
    if url is None:
        return text
    scheme, rest = url.groups()
    known = " or ".join(f"{each}://" for each in LAKE_SCHEMES)
    if scheme == "file":
        raise ValueError("is a file URL: write the folder alone, such as /data/lake")
    if scheme not in LAKE_SCHEMES:
        other = _OTHER_SCHEMES.get(scheme.lower(), scheme.lower())
        hint = f"write {other}://…" if other in LAKE_SCHEMES else f"write a folder, or a URL with {known}"
        raise ValueError(f"unknown kind of store {shown(scheme)}: {hint}")
    if not re.match(r"/[^/]", rest):
        raise ValueError(f"names no bucket: write {scheme}://bucket/prefix")
    return text


def api_key(text: str) -> str:
    """Refuse everything but a reference, without a word about what it holds."""
    if not re.fullmatch(API_KEY, text):
        raise ValueError(LITERAL_KEY)
    return text


def variable_of(reference: str) -> str | None:
    """The environment variable that an `api_key` refers to."""
    match = re.fullmatch(API_KEY, reference)
    return match.group(1) if match else None
