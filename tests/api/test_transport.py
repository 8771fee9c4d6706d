from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from yarl import URL

from collector.api.client import ApiClient
from collector.api.errors import RetryableError, WorkspaceRefusedError
from collector.api.network import NO_PROXIES, Network, read_network
from collector.api.request import Request, RequestBuilder
from collector.api.transport import AiohttpTransport, Response
from collector.clock import SystemClock
from collector.config.settings import Auth
from collector.model import Unit
from tests.api.test_request import KEY, make_window, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on this machine; gives its address."""
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "localhost" if tls else "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    address = runner.addresses[0]
    try:
        yield f"{'https://localhost' if tls else 'http://127.0.0.1'}:{address[1]}"
    finally:
        await runner.cleanup()


def get(answer: Answer, timeout: float = 5.0, largest: int = 100_000) -> Response:
    """One request to such a server."""

    async def main() -> Response:
        async with serving(answer) as endpoint, AiohttpTransport(largest) as transport:
            return await transport.get(Request(URL(f"{endpoint}/x?api_key={KEY}", encoded=True), {}, timeout))

    return asyncio.run(main())


def failure(answer: Answer, **limits: float) -> str:
    """The error's text, which must not hold the key, nor its causes."""
    with pytest.raises(RetryableError) as caught:
        get(answer, **limits)  # type: ignore[arg-type]
    assert KEY not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__cause__}"
    return str(caught.value)


async def sound(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * 5000, headers={"X-RateLimit-Remaining": "5"})


def test_a_reply_comes_whole() -> None:
    """Status, headers in any case and the complete body are returned."""
    response = get(sound)
    assert (response.status, response.headers.get("x-ratelimit-remaining"), len(response.body)) == (200, "5", 5000)


def test_a_compressed_reply_comes_decompressed() -> None:
    """Compression is requested and undone, also if the body comes in many pieces."""
    body = bytes(range(256)) * 300

    async def answer(request: web.Request) -> web.StreamResponse:
        assert "gzip" in request.headers["Accept-Encoding"]
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        packed = gzip.compress(body)
        for start in range(0, len(packed), 100):
            await response.write(packed[start : start + 100])
            await asyncio.sleep(0)
        return response

    assert get(answer).body == body


def test_what_was_built_is_what_arrives() -> None:
    """The URL goes out byte for byte as built: the `+` of an offset and odd ids stay encoded."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.Response()

    async def main() -> None:
        async with serving(answer) as endpoint, AiohttpTransport() as transport:
            window = make_window(Unit.DAY, 20000, 1, "a/b&c=d %2B+é", "..")
            request = RequestBuilder(make_workspace(endpoint=endpoint, auth=Auth.QUERY)).build(window)
            await transport.get(request)
            assert seen == [request.url.raw_path_qs]

    asyncio.run(main())
    assert "app_id=a%2Fb%26c%3Dd%20%252B%2B%C3%A9&segment_id=.." in seen[0]


@pytest.mark.parametrize("auth", Auth)
def test_a_redirect_is_refused_and_never_carries_the_key(auth: Auth) -> None:
    """A redirect to another host stops the workspace; that host is never asked."""
    strangers: list[str] = []

    async def stranger(request: web.Request) -> web.Response:
        strangers.append(request.raw_path)
        return web.Response()

    async def main() -> str:
        async with serving(stranger) as elsewhere, AiohttpTransport() as transport:

            async def redirect(request: web.Request) -> web.Response:
                raise web.HTTPTemporaryRedirect(f"{elsewhere}{request.raw_path}")

            async with serving(redirect) as endpoint:
                api = ApiClient(make_workspace(endpoint=endpoint, auth=auth), transport, SystemClock())
                with pytest.raises(WorkspaceRefusedError) as caught:
                    await api.fetch(make_window(Unit.DAY, 20000, 1))
        return str(caught.value)

    text = asyncio.run(main())
    assert "redirected to 127.0.0.1" in text
    assert KEY not in text
    assert strangers == []


def test_a_gzip_bomb_stops_at_the_limit() -> None:
    """A small body that unpacks to a huge one is not unpacked beyond the limit."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(bytes(200_000_000), 1), headers={"Content-Encoding": "gzip"})

    assert "larger than 100,000 bytes" in failure(answer)


def test_an_endless_body_stops_at_the_limit() -> None:
    """A body without end is read up to the limit."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(10_000))

    assert "larger than 100,000 bytes" in failure(answer)


def test_a_slow_drip_stops_at_the_timeout() -> None:
    """A body that comes byte by byte ends when the time for the complete request is over."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.005)

    assert failure(answer, timeout=0.1) == "no complete response from 127.0.0.1 within 0.1 s"


def test_a_server_that_says_nothing_stops_at_the_timeout() -> None:
    """A reply that never begins ends when the time for the complete request is over."""

    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    assert "within 0.05 s" in failure(answer, timeout=0.05)


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"])
def test_a_reset_is_an_error_and_the_request_is_sent_once(after: bytes) -> None:
    """A connection closed before or within its reply is an error, and nothing is sent again behind our back."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        while await reader.readuntil(b"\r\n\r\n"):
            count += 1
            if count > 1:
                writer.write(after)
                writer.close()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def main() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, AiohttpTransport() as transport:
            request = Request(URL(f"http://127.0.0.1:{port}/"), {})
            assert (await transport.get(request)).body == b"ok"
            with pytest.raises(RetryableError) as caught:
                await transport.get(request)  # on the connection that was kept
        return str(caught.value)

    text = asyncio.run(main())
    assert "closed the connection before" in text or "incomplete" in text
    assert count == 2


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", "cannot be decompressed"),
    ],
)
def test_what_is_no_http_is_an_error(reply: bytes, expected: str) -> None:
    """A peer that speaks something else, or a body that is not what it says, is an error with its name."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    async def main() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, AiohttpTransport() as transport:
            with pytest.raises(RetryableError) as caught:
                await transport.get(Request(URL(f"http://127.0.0.1:{port}/"), {}))
        return str(caught.value)

    assert expected in asyncio.run(main())


def ask_in_vain(url: str, largest: int = 1000, network: Network = NO_PROXIES) -> str:
    async def main() -> str:
        async with AiohttpTransport(largest, network=network) as transport:
            with pytest.raises(RetryableError) as caught:
                await transport.get(Request(URL(url, encoded=True), {}, 5))
        return str(caught.value)

    return asyncio.run(main())


def test_who_is_not_there_is_named() -> None:
    """A port that nobody listens on, and a name that does not exist, have different messages."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert ask_in_vain(f"http://127.0.0.1:{port}/?api_key=x") == (
        f"could not connect to 127.0.0.1:{port}: Connection refused"
    )
    assert "could not resolve host" in ask_in_vain("http://nowhere.invalid/")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A company's own authority, in short: a certificate for this machine that signs itself."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return key, cert


ASK_ONCE = """
import asyncio, sys
from yarl import URL
from collector.api.errors import RetryableError
from collector.api.request import Request
from collector.api.transport import AiohttpTransport

async def main():
    async with AiohttpTransport() as transport:
        return (await transport.get(Request(URL(sys.argv[1]), {}))).status

try:
    print(asyncio.run(main()))
except RetryableError as error:
    print(error)
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the certificate is made by openssl")
def test_tls_is_verified_and_an_own_authority_is_trusted(tmp_path: Path) -> None:
    """A certificate of an unknown authority is refused by name; with SSL_CERT_FILE naming that one it is taken."""
    key, cert = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)

    async def main(environ: dict[str, str]) -> str:
        async with serving(sound, tls) as endpoint:
            asking = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", ASK_ONCE, endpoint), env={**os.environ, **environ}, stdout=subprocess.PIPE
            )
            return (await asking.communicate())[0].decode().strip()

    assert "is not trusted: self-signed certificate" in asyncio.run(main({}))
    assert asyncio.run(main({"SSL_CERT_FILE": str(cert)})) == "200"


def test_a_proxy_is_used_except_for_this_machine() -> None:
    """Requests go through the proxy, except to hosts that NO_PROXY excludes, and never those to this machine."""
    seen: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        seen.append(request.headers["Host"])
        return web.Response(text="from the proxy")

    async def main() -> tuple[bytes, bytes]:
        async with serving(proxy) as proxied, serving(sound) as endpoint:
            network = read_network({"HTTP_PROXY": proxied.removeprefix("http://")}, [endpoint])
            async with AiohttpTransport(network=network) as transport:
                through = await transport.get(Request(URL("http://rest.test/"), {}))
                past = await transport.get(Request(URL(endpoint), {}))
        return through.body, past.body

    through, past = asyncio.run(main())
    assert (through, len(past), seen) == (b"from the proxy", 5000, ["rest.test"])


def test_a_proxy_that_is_down_is_named() -> None:
    """A proxy that does not answer is not reported as the server."""
    network = read_network({"http_proxy": "http://127.0.0.1:1"}, ["http://rest.test"])
    assert "could not connect to the proxy for rest.test" in ask_in_vain("http://rest.test/", network=network)


@pytest.mark.parametrize("auth", list(Auth))
@pytest.mark.parametrize("user", ["", "user:password@"])
def test_a_proxy_does_not_see_the_key(auth: Auth, user: str) -> None:
    """What a proxy is sent to make a tunnel holds no API key; one that wants credentials stops the workspace."""
    heads: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Credentials\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        proxy = f"http://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}"
        workspace = make_workspace(endpoint="https://rest.test", auth=auth)
        network = read_network({"HTTPS_PROXY": proxy}, [workspace.endpoint])
        async with server, AiohttpTransport(network=network) as transport:
            await transport.get(RequestBuilder(workspace).build(make_window(Unit.DAY, 20_000, 1)))

    with pytest.raises(WorkspaceRefusedError, match=r"the proxy for rest\.test requires credentials: check the proxy"):
        asyncio.run(main())
    [head] = heads
    assert head.startswith(b"CONNECT rest.test:443")
    assert KEY.encode() not in head
    assert (b"authorization: basic dXNlcjpwYXNzd29yZA==" in head.replace(b"Authorization: B", b"authorization: b")) == (
        user != ""
    )


@pytest.mark.parametrize(
    ("proxy", "reported"),
    [
        ("http://no-such-host.invalid:3128", "could not resolve its host: check the proxy settings of the environment"),
        ("https://{plain}", "TLS: the server does not speak TLS at this port: check the port in the proxy settings"),
    ],
)
def test_a_problem_of_the_proxy_is_not_one_of_the_endpoint(proxy: str, reported: str) -> None:
    """A proxy that cannot be resolved, or does not speak TLS, is named as the proxy, and not as the endpoint."""

    async def main() -> str:
        async with serving(sound) as plain:
            network = read_network(
                {"HTTPS_PROXY": proxy.format(plain=plain.partition("://")[2])}, ["https://rest.test"]
            )
            async with AiohttpTransport(network=network) as transport:
                with pytest.raises(RetryableError) as failed:
                    await transport.get(Request(URL("https://rest.test/"), {}, 5.0))
                return str(failed.value)

    assert asyncio.run(main()).startswith(f"could not connect to the proxy for rest.test: {reported}")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the certificate is made by openssl")
@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("plain", "the server does not speak TLS at this port"),
        ("old", "versions of TLS that are too old"),
        ("client certificate", "wants a client certificate"),
        ("unknown", "is not trusted: self-signed certificate. For an authority of your own, set SSL_CERT_FILE"),
        ("closes", "the connection was closed during the handshake"),
    ],
)
def test_what_fails_in_tls_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, expected: str
) -> None:
    """Errors of TLS say that it was TLS, at which address, and which part of it failed."""
    key, cert = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    if server == "old":
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1
        tls.set_ciphers("ALL:@SECLEVEL=0")
    if server == "client certificate":
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(cert)
        # In TLS 1.3 the refusal comes after the handshake, and the reset of a server that closes at once may hide it.
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
    trusting = ssl.create_default_context(cafile=None if server == "unknown" else str(cert))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            if server == "plain":
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            elif server != "closes":
                with suppress(OSError), tls.wrap_socket(peer, server_side=True, suppress_ragged_eofs=True) as secure:
                    secure.recv(1000)
            with suppress(OSError):
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1000):
                    pass

    async def main(address: str) -> str:
        async with AiohttpTransport() as transport:
            monkeypatch.setattr(transport._connector, "_ssl", trusting)
            with pytest.raises(RetryableError) as caught:
                await transport.get(Request(URL(f"https://{address}/"), {}, 20))
            return str(caught.value)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        address = f"localhost:{listener.getsockname()[1]}"
        text = asyncio.run(main(address))
        thread.join()
    assert text.startswith((f"TLS: no connection to {address}: ", f"TLS: the certificate of {address} is not trusted"))
    assert expected in text


def test_idle_connections_are_closed_to_make_room() -> None:
    """Requests to many hosts leave no more connections open than permitted, and the newest idle ones are kept."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    opened: list[int] = []
    most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        port = writer.get_extra_info("sockname")[1]
        opened.append(port)
        most = max(most, len(opened))
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply)
        opened.remove(port)
        writer.close()

    async def main() -> list[int]:
        servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(6)]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        async with AiohttpTransport(connections=3) as transport:
            for port in [*ports, *ports[-2:]]:
                await transport.get(Request(URL(f"http://127.0.0.1:{port}/"), {}))
                await asyncio.sleep(0.01)  # the server notices what was closed
            kept = list(opened)
        for server in servers:
            server.close()
        await asyncio.sleep(0.01)
        return [ports.index(port) for port in kept]

    assert asyncio.run(main()) == [3, 4, 5]
    assert most <= 4, "the server may see a new connection before the closed one"
