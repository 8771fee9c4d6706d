from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collector.api.network import Network, NetworkError, read_network
from tests.support.night import Night, make_document

if TYPE_CHECKING:
    from pathlib import Path

REST = "https://rest.test"


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("proxy.test:3128", "http://proxy.test:3128"),
        ("http://proxy.test:3128/", "http://proxy.test:3128/"),
        (" HTTP://proxy.test:3128 ", "http://proxy.test:3128"),
        ("https://proxy.test", "https://proxy.test"),
        ("user:p%23w%2F@proxy.test:3128", "http://user:p%23w%2F@proxy.test:3128"),
        ("[::1]:3128", "http://[::1]:3128"),
        ("", None),
    ],
)
def test_a_proxy_is_read_as_curl_has_it(value: str, proxy: str | None) -> None:
    """`host:port` means `http://host:port`, and an empty value means none."""
    assert read_network({"HTTPS_PROXY": value}, [REST]).proxy_for("https", "rest.test", 443) == proxy


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ('"http://proxy.test:3128"', "remove them"),
        ("'proxy.test:3128'", "remove them"),
        ("\u201cproxy.test:3128\u201d", "remove them"),
        ("socks5://user:secret@proxy.test:1080", "SOCKS proxy, which cannot be used: write http://HOST:PORT"),
        ("socks5h://proxy.test:1080", "SOCKS"),
        ("ftp://proxy.test", "write http://HOST:PORT"),
        ("http://user:secret#1@proxy.test:3128", "write %23 for each #"),
        ("http://user:secret/1@proxy.test:3128", "write %2F for each /"),
        ("user:secret?1@proxy.test:3128", "write %3F for each ?"),
        ("user:secret@1@proxy.test:3128", "write %40 for each @"),
        ("http://user:secret 1@proxy.test:3128", "%20"),
        ("http://:3128", "write http://HOST:PORT"),
        ("http://proxy.test:port", "write http://HOST:PORT"),
        ("http://proxy.test:99999", "write http://HOST:PORT"),
        ("http://proxy.test:3128/path", "write http://HOST:PORT"),
        ("http://proxy..test:3128", "write http://HOST:PORT"),
        ("http://.:3128", "write http://HOST:PORT"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused(value: str, advice: str) -> None:
    """What is not an HTTP proxy is refused, with the variable and what to write, and without any password."""
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        with pytest.raises(NetworkError) as caught:
            read_network({variable: value}, [REST])
        assert str(caught.value).startswith(variable)
        assert advice in str(caught.value)
        assert "secret" not in str(caught.value)


def test_lower_case_wins_and_other_schemes_do_not_matter() -> None:
    """The variable in lower case counts, also where it is empty; one for another scheme is not read."""
    environ = {"HTTPS_PROXY": "http://upper.test:1", "https_proxy": "lower.test:2", "HTTP_PROXY": "socks5://x.test"}
    assert read_network(environ, [REST]).proxies == {"https": "http://lower.test:2"}
    assert read_network(environ | {"https_proxy": ""}, [REST]).proxies == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_this_machine_is_never_reached_through_a_proxy(host: str) -> None:
    """Loopback goes direct, whatever NO_PROXY says."""
    assert Network({"http": "http://proxy.test:1"}).proxy_for("http", host, 80) is None


@pytest.mark.parametrize(
    ("excluded", "used"),
    [
        *(("*", False), ("rest.test", False), (".test", False), ("*.test", False), ("a, test", False)),
        *(("rest.test:443", False), ("rest.test:80", True), ("est.test", True), ("", True), (",", True)),
    ],
)
def test_no_proxy_excludes_hosts(excluded: str, used: bool) -> None:
    """NO_PROXY names hosts, domains, or all."""
    network = Network({"https": "http://proxy.test:1"}, excluded)
    assert (network.proxy_for("https", "rest.test", 443) is not None) == used


def test_no_proxy_excludes_networks() -> None:
    """NO_PROXY may name an address or a network."""
    network = Network({"https": "http://proxy.test:1"}, "10.0.0.0/8,192.168.1.7")
    hosts = ("10.1.2.3", "192.168.1.7", "192.168.1.8")
    assert [network.proxy_for("https", host, 443) is None for host in hosts] == [True, True, False]


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_PROXY": '"http://proxy.test:1"'},
        {"http_proxy": "http://user:pass#word@proxy.test:1"},
        {"SSL_CERT_FILE": "/nowhere/cert.pem"},
        {"SSL_CERT_FILE": "/etc/hostname"},
        {"SSL_CERT_FILE": "/etc"},
        {"SSL_CERT_DIR": "/nowhere"},
    ],
    ids=str,
)
def test_a_network_that_cannot_be_used_ends_the_run_before_its_first_request(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """Exit 2, one line with the variable, and nothing is written."""
    night = Night(tmp_path, make_document("http://127.0.0.1:1", {"name": "acme"}, start="2026-11-01"))
    clean = {"HTTP_PROXY": "", "http_proxy": "", "ALL_PROXY": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}
    del clean["http_proxy"]
    outcome = night.call("run", environ=clean | environ)
    assert outcome.exit_code == 2
    assert outcome.stderr.count("\n") == 1
    assert outcome.stderr.startswith(f"collector: {next(iter(environ))}")
    assert not night.lake.exists()
