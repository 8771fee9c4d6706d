"""What single values of the file may be: names, dates, durations, time zones, hosts, lakes, key references.

In: a value as YAML gave it. Out: the value as the program uses it, or ValueError with a sentence that says what to
write. Pure, but for the time zones, which are looked up in the machine's tables.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from difflib import get_close_matches
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from collector.config.endpoint import is_loopback

EARLIEST = date(2000, 1, 1)
LATEST = date(2999, 12, 31)
MAX_NAME = 63
MAX_TEXT = 255
MAX_PATH = 1024
_MAX_QUOTED = 60

WORKSPACE_NAME = r"[a-z][a-z0-9_-]*"
API_KEY = r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}"
LAKE_SCHEMES = ("s3", "gs", "abfs")

RESERVED_NAMES = frozenset(
    {"true", "false", "yes", "no", "on", "off", "null", "none", "nil", "na", "nan", "inf", "infinity"}
    | {"epoch", "now", "today", "tomorrow", "yesterday"}
)
"""A workspace's name is a partition value, and some engine reads each of these as a type other than text."""

KEY_NOT_A_REFERENCE = "is not a reference: keep the key in an environment variable, and write ${NAME_OF_VARIABLE}"
"""For any api_key that is not a reference. It may be a key, so it is never shown."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)", re.DOTALL)
_OTHER_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs", "adl": "abfs", "wasbs": "abfs"}


def read_date(value: object) -> date:
    """Read `2026-10-01`."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{quoted(value)} is not a valid date: write YYYY-MM-DD, such as 2026-10-01") from None
        if EARLIEST <= day <= LATEST:
            return day
        raise ValueError(f"is not between {EARLIEST} and {LATEST}: write a date in that range, or remove the key")
    found = f", not {quoted(value)}" if isinstance(value, str) else ""
    raise ValueError(f"must be a date{found}: write YYYY-MM-DD, such as 2026-10-01")


def read_duration(value: object) -> timedelta:
    """Read `10m`, or a bare 0, which YAML gives as a number."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value == 0:
            return timedelta()
        raise ValueError("has no unit: write days, hours, minutes or seconds, such as 10m or 6h")
    raise ValueError("must be a duration: write 10m, 6h, 1h30m, 1d or 0s")


def workspace_name(text: str) -> str:
    """Raise ValueError for what is not a partition value that every engine reads as text."""
    if text in RESERVED_NAMES:
        raise ValueError(f"{text} is not read as text by some query engines: write another name, such as {text}-1")
    if len(text) > MAX_NAME:
        raise ValueError(f"has {len(text)} characters: write {MAX_NAME} at most")
    if not re.fullmatch(WORKSPACE_NAME, text):
        raise ValueError(
            f"{quoted(text)} is not a valid name: write a lower-case letter, then lower-case letters, digits, _ or -"
        )
    return text


def printable(text: str, max_length: int = MAX_TEXT) -> str:
    """Raise ValueError for text that is empty, padded, quoted, too long or has unprintable characters."""
    if not text:
        raise ValueError("is empty: write some text")
    if len(text) > max_length:
        raise ValueError(f"has {len(text)} characters: write {max_length} at most")
    if not text.isprintable():
        raise ValueError("contains a line break or another unprintable character: write printable text on one line")
    if text != text.strip():
        raise ValueError("starts or ends with a space: remove it")
    if has_quotes_around(text):
        raise ValueError(TYPOGRAPHIC)
    return text


def identifier(text: str) -> str:
    """Raise ValueError for what is not printable, and for typographic quotes anywhere, which no identifier has."""
    if any(character in _TYPOGRAPHIC_QUOTES for character in text):
        raise ValueError(TYPOGRAPHIC)
    return printable(text)


_OPENING_QUOTES = ("“", "‘", "„", "‚", "«", "»", "‹", "›", "‟", "‛", "″", "′", "＂", "＇", "”", "’")
_CLOSING_QUOTES = tuple(quote for quote in _OPENING_QUOTES if quote != "’")  # which ends “customers’”, too
_TYPOGRAPHIC_QUOTES = frozenset(_OPENING_QUOTES)

TYPOGRAPHIC = (
    'has typographic quotes (such as “ ” ‘ ’ « »), which YAML reads as a part of the text: write "straight" quotes, or '
    "none"
)


def has_quotes_around(text: str) -> bool:
    """Whether the text has a typographic quote at either end. An apostrophe at the end alone is none."""
    return text[:1] in _OPENING_QUOTES or text[-1:] in _CLOSING_QUOTES


def without_quotes(text: str) -> str:
    """The text without typographic quotes around it."""
    return text.strip("".join(_TYPOGRAPHIC_QUOTES))


_PLACEHOLDER = re.compile(
    r"\$(?:\w+|\{[^}]*\}?|\([^)]*\)?)"  # of a shell: $HOME, ${HOME}, $(pwd)
    r"|`[^`]*`"
    r"|%\w+%|![A-Za-z_]\w*!"  # of Windows: %HOME%
    r"|%\(\w*\)[a-z]?|%[A-Za-z](?![A-Za-z0-9])"  # of Python, and of dates: %(home)s, %Y
    r"|\{[^{}]*\}|<[^<>]*>|@[A-Za-z_]\w*@"  # of templates and of documents: {name}, <lake>, @lake@
    r"|…|(?<![^/])\.{3,}(?![^/])"
)
"""What somebody meant to be replaced."""


def file_path(text: str) -> str:
    """Raise ValueError for what a shell or a template would replace, and this program does not."""
    if "${" in text:
        raise ValueError("contains ${…}, which only api_key may: write the path out")
    if text.startswith("~"):
        raise ValueError("starts with ~, which is not expanded here: write the complete path")
    if found := _PLACEHOLDER.search(text):
        raise ValueError(f"contains {quoted(found.group())}, which is not replaced here: write the complete path")
    return printable(text, MAX_PATH)


def plain(text: str) -> str:
    """Raise ValueError for references: what differs between machines has environment variables of the cloud's own."""
    found = "${…}, which only api_key may" if "${" in text else "a placeholder, which is not replaced here"
    if _PLACEHOLDER.search(text):
        raise ValueError(
            f"contains {found}: write the value out, or remove the key and set the cloud's own "
            "variable, such as AWS_REGION or AZURE_STORAGE_ACCOUNT_NAME"
        )
    return printable(text)


def zone_name(text: str) -> str:
    """Raise ValueError, with the nearest name, for what is not an IANA time zone."""
    try:
        ZoneInfo(printable(text))
    except (KeyError, ValueError, OSError):
        nearest = _nearest_zone(text)
        hint = f"write {nearest}" if nearest else "write an IANA name such as America/New_York"
        raise ValueError(f"unknown time zone {quoted(text)}: {hint}") from None
    return text


def _nearest_zone(text: str) -> str | None:
    names: dict[str, str] = {}
    for zone in sorted(available_timezones()):
        names[zone.rpartition("/")[2].lower()] = zone
    names |= {zone.lower(): zone for zone in available_timezones()}
    found = get_close_matches(text[:MAX_TEXT].strip().replace(" ", "_").lower(), names, n=1)
    return names[found[0]] if found else None


def lake(text: str) -> str:
    """Raise ValueError for what is neither a folder nor the URL of a known object store."""
    url = _URL.fullmatch(file_path(text))
    if url is None:
        return text
    scheme, rest = url.groups()
    known = " or ".join(f"{each}://" for each in LAKE_SCHEMES)
    if scheme == "file":
        raise ValueError("is a file URL: write only the folder, such as /data/lake")
    if scheme not in LAKE_SCHEMES:
        other = _OTHER_SCHEMES.get(scheme.lower(), scheme.lower())
        hint = f"write {other}://…" if other in LAKE_SCHEMES else f"write a folder, or a URL with {known}"
        raise ValueError(f"unknown kind of object store {quoted(scheme)}: {hint}")
    if not re.match(r"/[^/]", rest):
        raise ValueError(f"has no bucket: write {scheme}://bucket/prefix")
    return text


def api_key(text: str) -> str:
    """Raise ValueError for anything but a reference, without showing what it is."""
    if not re.fullmatch(API_KEY, text):
        raise ValueError(KEY_NOT_A_REFERENCE)
    return text


def variable_of(reference: str) -> str | None:
    """The environment variable that an `api_key` refers to."""
    match = re.fullmatch(API_KEY, reference)
    return match.group(1) if match else None


MAX_DURATION = timedelta(days=3660)
"""Ten years. Longer ones are typing mistakes, and some would overflow a date."""

DURATION_PATTERN = r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?"
_DURATION = re.compile(DURATION_PATTERN)


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `10m`, `6h`, `1d`, `1h30m` or `0`; ValueError says what to write otherwise."""
    if text == "0":
        return timedelta()
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError("must be a duration of days, hours, minutes and seconds: write 10m, 6h, 1h30m, 1d or 0s")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total > MAX_DURATION.total_seconds():
        raise ValueError(f"is too long: write {MAX_DURATION.days}d at most")
    return timedelta(seconds=total)


STORAGE_EXAMPLE = "https://minio.example.com:9000"
_SECRETS = ("key", "secret", "token", "password", "credential", "sas")
_OWN = (
    "a credential does not belong here: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "AZURE_STORAGE_ACCOUNT_KEY or GOOGLE_APPLICATION_CREDENTIALS, or give the machine a role, and remove the key"
)


def read_storage_endpoint(text: str) -> str:
    """The URL of an object store's server, without a final slash. No message shows the value."""
    plain(text)
    try:
        url = urlsplit(text)
        host = url.hostname or ""
    except ValueError:
        host = ""
    if not host or url.scheme not in ("http", "https"):
        raise ValueError(f"is not a URL with a host: write one such as {STORAGE_EXAMPLE}")
    if "@" in url.netloc or url.query or url.fragment:
        raise ValueError(f"contains more than host, port and path: write one such as {STORAGE_EXAMPLE}; {_OWN}")
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError(f"would send rows unencrypted to {host}: write https:// (http:// is for this machine)")
    return text.rstrip("/")


def credential_advice(key: str) -> str | None:
    """What to write in place of an unknown key that looks like one for a secret; None for other keys."""
    return _OWN if any(word in key.lower() for word in _SECRETS) else None


def quoted(text: str) -> str:
    """A value in quotes for a message: on one line, printable, and cut where it is long."""
    return repr(text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…")
