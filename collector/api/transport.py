"""The one boundary to the network: a request goes out, and a complete reply comes back, or an error of this package.

Never here: what a status means, retries, rate limits. Redirects are not followed, since the key would be sent with
them.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeGuard

import aiohttp
from yarl import URL

from collector.api.cancellation import Timeouts
from collector.api.connections import Connector, KeptConnectionLostError
from collector.api.errors import ApiError, ConnectionLostError, RetryableError, WorkspaceRefusedError
from collector.api.network import NO_PROXIES, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from collector.api.request import Request


LARGEST_BODY = 8 * 1024 * 1024
"""Bytes after decompression. An answer of 100 points has about six thousand."""

_CONNECT_SECONDS = 10.0


class Response(NamedTuple):
    """A complete reply. `headers` are looked up in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    discard: Callable[[], None] | None = None
    """Closes the connection, which else may be used again after a 200: for a body that is not an answer."""

    def __repr__(self) -> str:
        """Without headers and body, which may echo the key."""
        return f"Response(status={self.status}, {len(self.body)} bytes)"


class Transport(Protocol):
    """Sends requests."""

    async def get(self, request: Request) -> Response:
        """Send the request once, and wait for the complete reply.

        Raises:
            RetryableError: where no complete reply came in time. It does not contain the URL, which may hold the key.

        """
        ...


class AiohttpTransport:
    """Real sockets, for all workspaces of a process: `async with AiohttpTransport() as transport`.

    TLS certificates are verified against the machine's authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR named
    when the process started. No more than `connections` are open at once.
    """

    def __init__(self, largest_body: int = LARGEST_BODY, connections: int = 200, network: Network = NO_PROXIES) -> None:
        self._most_connections = connections
        self._network = network
        self._largest_body = largest_body
        self._timeouts = Timeouts()
        self._sessions: dict[int, tuple[Mapping[str, str], aiohttp.ClientSession]] = {}
        self._proxies: dict[tuple[str, str, int | None], URL | None] = {}

    async def __aenter__(self) -> Self:
        """Connections are made when they are needed."""
        self._connector = Connector(self._most_connections)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        for _, session in self._sessions.values():
            await session.close()
        await self._connector.close()

    async def get(self, request: Request) -> Response:
        """Send it once; see `Transport`."""
        url, session = request.url, self._session(request)
        proxy = self._proxy(url)
        try:
            with self._timeouts.limit(request.timeout_seconds):
                response = await session.get(url, headers=request.headers, allow_redirects=False, proxy=proxy)
                # Private, since the connection itself is given back before the body is read, where it came with it.
                connection: Any = response._protocol  # noqa: SLF001
                try:
                    body = await self._body(response)
                except BaseException:
                    connection.discard()  # the rest of the body must not be read on the connection's next use
                    response.close()
                    raise
        except KeptConnectionLostError:
            self._connector.stop_keeping(url.raw_host or "", url.port)
            raise ConnectionLostError(f"{url.host} closed the connection before it responded") from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _translate(error, request, proxy) from (None if "api_key" in f"{error} {error!r}" else error)
        return Response(response.status, response.headers, body, connection.discard)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        content = response.content
        body = await content.readany()
        if content.at_eof() and len(body) <= self._largest_body:
            return body  # most answers come in one chunk
        parts, size = [body], len(body)
        while size <= self._largest_body:
            part = await content.readany()
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
        raise RetryableError(
            f"the body of the response is larger than {self._largest_body:,} bytes", http_status=response.status
        )

    def _session(self, request: Request) -> aiohttp.ClientSession:
        """The session of all requests with these headers, which each workspace makes once, and with this time limit."""
        headers = request.headers
        kept = self._sessions.get(id(headers))
        if kept is None:
            # The session itself has no headers: aiohttp sends those of a session to the proxy as well, outside the
            # encrypted connection, and an Authorization header as the one that is meant for the proxy.
            session = aiohttp.ClientSession(
                connector=self._connector,
                connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(connect=min(_CONNECT_SECONDS, request.timeout_seconds)),
            )
            # The client would by itself repeat a request whose connection turns out to be closed: a request that the
            # throttle has not counted and the log does not show. Here every request is counted.
            session._retry_connection = False  # noqa: SLF001
            kept = self._sessions[id(headers)] = (
                headers,
                session,
            )  # kept, so that the id is not used again
        return kept[1]

    def _proxy(self, url: URL) -> URL | None:
        """The proxy for the URL's host, looked up once a host.

        aiohttp's own `trust_env` reads the environment and a netrc file, on a thread, for every request, and rejects
        the Authorization header where the netrc file has the host.
        """
        key = (url.scheme, url.raw_host or "", url.port)
        if key not in self._proxies:
            proxy = self._network.proxy_for(*key)
            self._proxies[key] = None if proxy is None else URL(proxy)
        return self._proxies[key]


def _translate(error: Exception, request: Request, proxy: URL | None) -> ApiError:
    """The client's error as one of this package. The client's own may hold the URL, and so the key."""
    host = request.url.host or ""
    address = f"{host}:{request.url.port}"
    if proxy is not None and _is_of_proxy(error, proxy):
        return RetryableError(f"could not connect to the proxy for {host}: {_proxy_problem(error, proxy)}")
    tls = _tls_problem(error, request.url.scheme)
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return RetryableError(
                f"TLS: the certificate of {address} is not trusted: {_certificate(error)}. For an authority of your "
                "own, set SSL_CERT_FILE"
            )
        case _ if tls:
            return RetryableError(f"TLS: no connection to {address}: {tls}")
        case aiohttp.ClientConnectorDNSError():
            return RetryableError(f"could not resolve host {host}: check `endpoint` and the network")
        case aiohttp.ClientHttpProxyError(status=407):
            return WorkspaceRefusedError(f"the proxy for {host} requires credentials: {_CHECK_PROXY}", http_status=407)
        case aiohttp.ClientHttpProxyError():
            return RetryableError(f"the proxy refused the connection to {host}: HTTP {error.status}")
        case aiohttp.ClientConnectorError():
            return RetryableError(f"could not connect to {address}: {_reason(error.os_error)}")
        case aiohttp.ConnectionTimeoutError():
            through = " through the proxy" if proxy is not None else ""
            return RetryableError(
                f"could not connect to {address}{through} within {min(_CONNECT_SECONDS, request.timeout_seconds):g} s"
            )
        case TimeoutError():
            return RetryableError(f"no complete response from {host} within {request.timeout_seconds:g} s")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return RetryableError(f"{host} closed the connection before it responded")
        case aiohttp.ClientPayloadError():
            return RetryableError(f"the response of {host} is incomplete, or cannot be decompressed")
        case aiohttp.ClientResponseError():
            return RetryableError(f"the response of {host} is not valid HTTP")
    return RetryableError(f"the request to {host} failed ({type(error).__name__})")


_ConnectError = aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError
_PROXY_SETTINGS = "the proxy settings of the environment"
_CHECK_PROXY = f"check {_PROXY_SETTINGS}"


def _is_of_proxy(error: Exception, proxy: URL) -> TypeGuard[_ConnectError]:
    """Whether the connection to the proxy itself could not be made, and not the one through it."""
    return isinstance(error, _ConnectError) and (error.host, error.port) == (proxy.raw_host, proxy.port)


def _proxy_problem(error: _ConnectError, proxy: URL) -> str:
    """Why the proxy itself could not be reached. Its address is not shown: it may hold a password."""
    tls = _tls_problem(error, proxy.scheme)
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"TLS: its certificate is not trusted: {_certificate(error)}"
        case _ if tls:
            return f"TLS: {tls.replace('`endpoint`', _PROXY_SETTINGS)}"
        case aiohttp.ClientConnectorDNSError():
            return f"could not resolve its host: {_CHECK_PROXY}"
    return _reason(error.os_error)


def _certificate(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    return getattr(cause, "verify_message", "") or type(cause).__name__


_TLS_REASON = re.compile(r"\[SSL: (\w+)\]")
_TLS_PROBLEMS = {
    "the server does not speak TLS at this port: check the port in `endpoint`": (
        "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG",
        "UNKNOWN_PROTOCOL", "BAD_RECORD_TYPE",
    ),
    "the server offers only versions of TLS that are too old: TLS 1.2 is the oldest that is used": (
        "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "WRONG_SSL_VERSION", "DH_KEY_TOO_SMALL",
        "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    ),
    "the server wants a client certificate, which cannot be sent": (
        "TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_NO_CERTIFICATE",
    ),
    "the handshake failed: the server accepts none of the ciphers, or wants a client certificate": (
        "SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    ),
    "the server does not know this host name: check `endpoint`": ("TLSV1_UNRECOGNIZED_NAME",),
    "the connection was closed during the handshake": ("UNEXPECTED_EOF_WHILE_READING",),
}  # fmt: skip
_TLS_PROBLEM_OF = {reason: problem for problem, reasons in _TLS_PROBLEMS.items() for reason in reasons}


def _tls_problem(error: Exception, scheme: str) -> str:
    """Which part of TLS failed; empty where the error is not one of TLS. OpenSSL's own name is the fallback."""
    # Some come after the handshake, as an error of the connection, whose text alone shows that it was TLS.
    reason = _TLS_REASON.search(str(error))
    if reason is not None:
        return _TLS_PROBLEM_OF.get(reason[1], reason[1].replace("_", " ").lower())
    if isinstance(error, ssl.SSLError):
        return "the handshake failed"
    # A connection that cannot be made is refused; one that is reset was made, and closed in the handshake.
    cut = isinstance(getattr(error, "os_error", None), ConnectionResetError | ConnectionAbortedError)
    return "the connection was closed during the handshake" if cut and scheme == "https" else ""


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
