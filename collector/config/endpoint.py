"""A workspace's REST host: what may stand there, and what was probably meant where it may not.

In: the text of `endpoint`. Out: `https://host` or `https://host:port` in lower case, or ValueError with a sentence. A
message never shows more of the text than its host: the rest may hold a key.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

KNOWN_HOSTS = (
    *(f"rest.iad-0{number}.braze.com" for number in range(1, 9)),
    "rest.us-10.braze.com",
    *(f"rest.{region}-01.braze.com" for region in ("au", "id", "jp", "kr")),
    "rest.fra-01.braze.eu",
    "rest.fra-02.braze.eu",
)
"""As Braze documents them. Others are let through: it adds some, and proxies have their own names."""

EXAMPLE = "https://rest.iad-01.braze.com"
_HOST = re.compile(r"(?!-)[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")
_CONSOLE = re.compile(r"(?:dashboard|sdk|www|api|rest)[.-]([a-z]+-)?(\d\d)\.(?:[a-z-]+\.)?braze\.(com|eu)")
_ALMOST = 0.92
_PORTS = {"http": 80, "https": 443}


def read_endpoint(text: str) -> str:
    """The host to send to, with its scheme, and its port where it has one."""
    if "${" in text:
        raise ValueError(f"holds ${{…}}, which is read in api_key alone: write the host, such as {EXAMPLE}")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"holds a blank or another character no host has: write {EXAMPLE}")
    if "://" not in text:
        host = text.lower() if _HOST.fullmatch(text.lower()) else "HOST"
        raise ValueError(f"has no scheme: write https://{meant(host) or host}")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError(f"is no URL with a host, and a port if any: write {EXAMPLE}") from None
    _refuse_more_than_host(url, host, port)
    _refuse_wrong_host(url.scheme, host)
    name = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{name}" if port in (None, _PORTS[url.scheme]) else f"{url.scheme}://{name}:{port}"


def meant(host: str) -> str | None:
    """The REST host that somebody who wrote this one probably meant; None for a known one, or no idea."""
    if host in KNOWN_HOSTS:
        return None
    console = _CONSOLE.fullmatch(host)
    if console:
        region, number, top = console.groups()
        guess = f"rest.{region or ('fra-' if top == 'eu' else 'iad-')}{number}.braze.{top}"
        if guess in KNOWN_HOSTS:
            return guess
    found = get_close_matches(host, KNOWN_HOSTS, n=1, cutoff=0.75)
    return found[0] if found else None


def is_this_machine(host: str) -> bool:
    """Whether the host is a loopback: the only one to which a key may travel unencrypted."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_more_than_host(url: SplitResult, host: str, port: int | None) -> None:
    if url.scheme not in ("http", "https"):
        raise ValueError(f"has the scheme {url.scheme[:20]!r}: write https://")
    if url.username is not None or url.password is not None:
        raise ValueError("holds a user or password: write the host alone; the key belongs in the environment")
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError(f"names no host: write one such as {EXAMPLE}")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError(f"holds more than a host: write {url.scheme}://{meant(host) or host}, without path or query")


def _refuse_wrong_host(scheme: str, host: str) -> None:
    braze = host.endswith((".braze.com", ".braze.eu"))
    if braze and not host.startswith("rest."):
        raise ValueError(f"{host} is no REST endpoint: write https://{meant(host) or 'rest.INSTANCE.braze.com'}")
    # A key sent to a misspelt host is a key given away.
    if not braze and get_close_matches(host, KNOWN_HOSTS, n=1, cutoff=_ALMOST):
        raise ValueError(f"{host} looks like a misspelt host: write https://{meant(host)}")
    if scheme == "http" and not is_this_machine(host):
        raise ValueError(f"would send the key unencrypted to {host}: write https:// (http:// is for this machine)")
