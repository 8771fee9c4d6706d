"""The REST host of a workspace: what is accepted, and which one is probably meant by what is not.

In: the text of an `endpoint`. Out: scheme, host and port, or ValueError with an endpoint that can be pasted. Pure. A
message shows no more of the text than its host, and the host only if it has a dot: the rest may be a key.
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
"""As Braze documents them. Others are accepted: Braze adds some, and proxies have names of their own."""

EXAMPLE = "https://rest.iad-01.braze.com"

_HOST = re.compile(r"(?!-)[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")
_PORTS = {"http": 80, "https": 443}
_SIMILAR, _ALMOST = 0.75, 0.92

_INSTANCE = re.compile(r"(?:^|[.-])(?:([a-z]{2,3})[._-]?)?0*(\d{1,2})(?=[.-]|$)")
"""The instance in a host's name, however it is separated and padded: `iad-06`, `iad6`, `dashboard-06`."""

_REGULAR = re.compile(r"rest\.[a-z]{2,3}-\d\d\.braze\.(?:com|eu)")
"""A host that Braze may have added."""

_INSTANCES = {match.groups(): host for host in KNOWN_HOSTS if (match := _INSTANCE.search(host))}
"""The known hosts by region and number: ("iad", "6")."""

_SCHEMES = re.compile(r"^(?:h{0,2}t{1,3}p{0,2}s{0,2}(?:[:;.]*[/\\]+|:(?!\d))|[:/\\]+)+", re.IGNORECASE)
"""One or more schemes, as they are mistyped: `https//`, `https:`, `htps://`, `https://https://`."""

_FROM_TEXTS = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212", "------", "\u200b\u2060\ufeff\u00ad")
"""What documents make of a hyphen, and invisible characters that come with a copied name."""


def read_endpoint(text: str) -> str:
    """The scheme, the host and, where it is not the scheme's own, the port."""
    if "${" in text:
        raise ValueError(f"contains ${{…}}, which only api_key may: write the host, such as {EXAMPLE}")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"contains a space or another character that is invalid in a host: write {meant(text)}")
    if "://" not in text:
        raise ValueError(f"has no scheme: write {meant(text)}")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError(f"is not a URL with a host: write {meant(text)}") from None
    _refuse_more_than_host(text, url, host, port)
    _refuse_wrong_host(text, url.scheme, host, port)
    name = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{name}" if port in (None, _PORTS[url.scheme]) else f"{url.scheme}://{name}:{port}"


def meant(text: str) -> str:
    """The endpoint that is probably meant: one that `read_endpoint` accepts."""
    plain = text.translate(_FROM_TEXTS).strip(" \t\n\"'`<>()[]{},;.")
    rest = _SCHEMES.sub("", plain)
    host, _, port = re.split(r"[/\\?#\s,;]", rest, maxsplit=1)[0].rpartition("@")[2].lower().partition(":")
    host = host.strip(".")
    if not _HOST.fullmatch(host) or not ("." in host or is_loopback(host)):
        return EXAMPLE
    host = suggest_host(host) or host
    if is_brazes(host) and not host.startswith("rest."):
        return EXAMPLE
    own = port if re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 2**16 and not is_brazes(host) else ""
    if is_loopback(host):
        return f"http://{host}:{own}" if own else f"http://{host}"
    return f"https://{host}:{own}" if own not in ("", "80", "443") else f"https://{host}"


def suggest_host(host: str) -> str | None:
    """The REST host that is probably meant; None for a host that may be right, or where none is similar."""
    if host in KNOWN_HOSTS or is_loopback(host) or (_REGULAR.fullmatch(host) and not _named_instance(host)):
        return None
    similar = get_close_matches(host, KNOWN_HOSTS, n=1, cutoff=_SIMILAR)
    if named := _named_instance(host) if similar or is_brazes(host) else None:
        return named
    return similar[0] if similar else None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine: the only one to which a key may be sent unencrypted."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_brazes(host: str) -> bool:
    """Whether the name belongs to Braze."""
    return host.endswith((".braze.com", ".braze.eu"))


def _named_instance(host: str) -> str | None:
    """The known host of the instance that a host names in another form: `rest.iad-6.braze.com`, `dashboard-03.…`."""
    instance = _INSTANCE.search(host)
    if not instance:
        return None
    region, number = instance.groups()
    # The dashboards of some instances are named without a region.
    return _INSTANCES.get((region or ("fra" if host.endswith(".eu") else "iad"), number))


def _refuse_more_than_host(text: str, url: SplitResult, host: str, port: int | None) -> None:
    if url.scheme not in _PORTS:
        wrong = f"has the scheme {url.scheme[:20]!r}" if url.scheme else "has no valid scheme"
        raise ValueError(f"{wrong}: write {meant(text.partition('://')[2])}")
    if url.username is not None or url.password is not None:
        raise ValueError("contains a user or password: write only the host, and keep the key in the environment")
    if host in _PORTS:
        raise ValueError(f"has its scheme twice: write {meant(text)}")
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError(f"has no host: write {meant(text)}")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError(f"contains more than a host: write {meant(text)}, without path or query")


def _refuse_wrong_host(text: str, scheme: str, host: str, port: int | None) -> None:
    named = _named_instance(host)
    if is_brazes(host) and (not host.startswith("rest.") or named not in (None, host)):
        advice = f"write {meant(text)}" if suggest_host(host) else f"write your instance's, such as {EXAMPLE}"
        raise ValueError(f"{host} is not a REST endpoint: {advice}")
    if is_brazes(host) and scheme == "https" and port not in (None, 443):
        raise ValueError(f"has the port {port}, on which Braze does not answer: write {meant(text)}")
    # A key that is sent to a misspelled host is given away.
    if not is_brazes(host) and get_close_matches(host, KNOWN_HOSTS, n=1, cutoff=_ALMOST):
        raise ValueError(f"{host} looks like a misspelled host: write {meant(text)}")
    if scheme == "http" and not is_loopback(host):
        raise ValueError(f"would send the key unencrypted to {host}: write {meant(text)} (http:// is for this machine)")
