from __future__ import annotations

import asyncio
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.client import ApiClient, error_for_status
from collector.api.errors import (
    ApiError,
    QuotaExhaustedError,
    RetryableError,
    SeriesRefusedError,
    WorkspaceRefusedError,
)
from collector.api.transport import Response
from collector.clock import SystemClock
from collector.config.settings import Secret
from collector.model import Unit
from collector.redaction import MAX_LINE, Redactor
from collector.testing import FakeTransport
from tests.api.test_request import KEY, make_window, make_workspace


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (201, None),
        (202, RetryableError),
        (301, WorkspaceRefusedError),
        (304, WorkspaceRefusedError),
        (400, SeriesRefusedError),
        (401, WorkspaceRefusedError),
        (403, WorkspaceRefusedError),
        (404, WorkspaceRefusedError),
        (405, WorkspaceRefusedError),
        (407, WorkspaceRefusedError),
        (408, RetryableError),
        (422, SeriesRefusedError),
        (425, RetryableError),
        (429, QuotaExhaustedError),
        (500, RetryableError),
        (504, RetryableError),
        (599, RetryableError),
        (999, RetryableError),
    ],
)
def test_what_each_status_means(status: int, kind: type[ApiError] | None) -> None:
    """Each status says what to do next, and each refusal names it."""
    refusal = error_for_status(status, {}, b'{"message":"because"}')
    assert type(refusal) is (kind or type(None))
    assert refusal is None or f"HTTP {status}: " in str(refusal)


def test_a_redirect_names_the_host_alone() -> None:
    """The target of a redirect is named without path and query, which may contain the key."""
    for location in ("https://evil.test/x?api_key=secret", "//evil.test/secret", "http://[evil/secret"):
        text = str(error_for_status(302, {"location": location}, b""))
        assert "evil" in text or "invalid address" in text
        assert "secret" not in text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html><h1>503</h1>", "HTML"),
        (b'{"message":"m","errors":["e"]}', "m; ['e']"),
        (b'"just text"', "just text"),
        (b"plain \xff", "plain"),
    ],
)
def test_the_server_s_words_are_quoted(body: bytes, expected: str) -> None:
    """The server's message is in the error, whatever its form."""
    assert expected in str(error_for_status(500, {}, body))


keys = st.text(st.characters(min_codepoint=33, codec="utf-8"), min_size=8, max_size=60)


@given(
    keys, st.sampled_from([str, quote, quote_plus, lambda key: quote(key, safe=""), json.dumps]), st.text(max_size=400)
)
def test_no_form_of_the_key_survives(key: str, form: object, around: str) -> None:
    """The key is taken out in each form in which a server may give it back, even where the text is cut short."""
    assert callable(form)
    cleaned = Redactor([Secret(key)]).one_line(f"{around}{form(key)}{around}")
    assert key not in cleaned or key in "***"
    assert len(cleaned) <= MAX_LINE
    assert cleaned.isprintable() or not any(ord(char) < 32 for char in cleaned)


async def said(status: int, body: str) -> str:
    """The error of a reply, or the warning beside its points."""
    api = ApiClient(make_workspace(), FakeTransport(lambda _: Response(status, {}, body.encode())), SystemClock())
    try:
        return (await api.fetch(make_window(Unit.DAY, 20000, 1))).points.warning or ""
    except RetryableError as error:
        return str(error)


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("form", ["KEY", '{"message": "KEY"}', '{"message": "success", "data": [{"time": "KEY"}]}'])
def test_no_cut_leaves_half_a_key(status: int, form: str) -> None:
    """Wherever a server echoes the key, and wherever the text is cut, not a part of it is left."""

    async def texts() -> list[str]:
        return [await said(status, form.replace("KEY", "x" * length + KEY)) for length in range(MAX_LINE + 30)]

    assert [text for text in asyncio.run(texts()) if KEY[:6] in text] == []


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("form", ['{"message": JSON}', '{"message": "success", "data": [], "errors": JSON}'])
def test_json_nested_too_deeply_to_be_written_is_no_traceback(status: int, form: str) -> None:
    """JSON that is nested too deeply to be written again is described, and causes no traceback."""
    assert "nested too deeply" in asyncio.run(said(status, form.replace("JSON", "[" * 1000 + "]" * 1000)))


def test_an_error_of_the_api_is_one_clean_line() -> None:
    """What `fetch` raises has status and headers, and is one short line without the key."""

    def handler(_: object) -> Response:
        body = json.dumps({"message": f"Invalid API key: {KEY}\n\x1b[31m" + "x" * 5000}).encode()
        return Response(401, {"x-ratelimit-remaining": "", "x-ratelimit-limit": "250000"}, body)

    api = ApiClient(make_workspace(), FakeTransport(handler), SystemClock())
    with pytest.raises(WorkspaceRefusedError) as caught:
        asyncio.run(api.fetch(make_window(Unit.DAY, 20000, 1)))
    text = str(caught.value)
    assert "Invalid API key: ***" in text
    assert KEY not in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) <= 300
    assert (caught.value.http_status, caught.value.headers.limit) == (401, 250000)
    assert caught.value.without_traceback().__traceback__ is None
