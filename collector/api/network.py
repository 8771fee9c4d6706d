"""What the environment says about the network: proxies, and certificate authorities. Read and checked once.

In: environment variables and the endpoints that will be requested. Out: `Network`, or `NetworkError`, which says which
variable is wrong and what to write. A value may hold a password, so none is ever shown.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collector.config.endpoint import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_ESCAPES = {"#": "%23", "/": "%2F", "?": "%3F", "@": "%40"}
_HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.%]+\])(?::(\d{1,5}))?/?")
_LARGEST_PORT = 65535


class NetworkError(Exception):
    """A variable of the environment that cannot be used, and what to write."""


@dataclass(frozen=True, slots=True)
class Network:
    """`proxies`: a proxy's URL by the scheme of the endpoint. `no_proxy`: the hosts that none is used for."""

    proxies: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    no_proxy: str = ""

    def proxy_for(self, scheme: str, host: str, port: int | None) -> str | None:
        """The proxy for an endpoint, if any. This machine is never reached through one."""
        proxy = self.proxies.get(scheme)
        if proxy is None or is_loopback(host):
            return None
        host = host.lower()
        excluded = (
            each.lower().removeprefix("*.").removeprefix(".") for each in self.no_proxy.replace(",", " ").split()
        )
        return None if any(_excludes(each, host, port) for each in excluded) else proxy


NO_PROXIES = Network()


def read_network(environ: Mapping[str, str], endpoints: Iterable[str]) -> Network:
    """The network as the environment has it. A proxy is read only for the schemes of the endpoints.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in upper or lower case (which wins), mean what they mean to curl.
    Raises NetworkError.
    """
    _check_authorities(environ)
    proxies = {}
    for scheme in sorted({urlsplit(endpoint).scheme for endpoint in endpoints}):
        variable = _variable(environ, f"{scheme}_proxy") or _variable(environ, "all_proxy")
        if variable is not None:
            proxies[scheme] = _proxy(variable, environ[variable])
    excluded = _variable(environ, "no_proxy")
    return Network(MappingProxyType(proxies), environ[excluded] if excluded is not None else "")


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    """The variable that counts: in lower case, even if it is empty, before upper case. None where it is empty."""
    found = next((each for each in (name, name.upper()) if each in environ), None)
    return found if found is not None and environ[found].strip() else None


def _excludes(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY means the host: its name, a domain above it, `*`, or a network of its address."""
    if entry in ("*", host, f"{host}:{port}") or (entry and host.endswith(f".{entry}")):
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False


def _proxy(variable: str, value: str) -> str:
    """The proxy's URL. `host:port` means `http://host:port`."""
    text = value.strip()
    if text[0] in _QUOTES or text[-1] in _QUOTES:
        raise NetworkError(f"{variable} has quotes around it, which are a part of its value: remove them")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text.removeprefix("//")
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        kind = "a SOCKS proxy" if scheme.startswith("socks") else "not an HTTP proxy"
        raise NetworkError(f"{variable} is {kind}, which cannot be used: write http://HOST:PORT, or unset it")
    credentials, at, place = rest.rpartition("@")
    for character, escape in _ESCAPES.items():
        if character in credentials:
            raise NetworkError(f"{variable}: write {escape} for each {character} in the user name and the password")
    if any(not "!" <= character <= "~" for character in rest):
        raise NetworkError(f"{variable} contains a space or another character that must be percent-encoded (%20)")
    host = _HOST.fullmatch(place)
    if host is None or not 0 < int(host[1] or 1) <= _LARGEST_PORT:
        raise NetworkError(f"{variable} is not the address of a proxy: write http://HOST:PORT")
    return f"{scheme}://{credentials}{at}{place}"


def _check_authorities(environ: Mapping[str, str]) -> None:
    """OpenSSL ignores a file or folder that is not there, and then trusts no certificate, or others than were meant."""
    file, folders = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except ssl.SSLError:
            raise NetworkError(f"SSL_CERT_FILE: {file} holds no certificate: write the path of a PEM file") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NetworkError(f"SSL_CERT_FILE: cannot read {file} ({reason}): write the path of a PEM file") from None
    if folders and not any(Path(each).is_dir() for each in folders.split(":") if each):
        raise NetworkError(f"SSL_CERT_DIR: {folders} is not a folder: write the path of a folder with certificates")
