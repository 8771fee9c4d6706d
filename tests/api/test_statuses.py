from __future__ import annotations

import asyncio
import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.client import ApiClient, error_for_status
from collector.api.errors import (
    ApiError,
    MetricRefusedError,
    QuotaExhaustedError,
    RetryableError,
    SeriesRefusedError,
    WorkspaceRefusedError,
)
from collector.api.transport import Response
from collector.clock import SystemClock
from collector.config.settings import Secret
from collector.model import Unit
from collector.redaction import MAX_LINE, Redactor, withhold_codes
from collector.testing import FakeTransport
from tests.api.test_request import KEY, make_window, make_workspace


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (201, None),
        (202, RetryableError),
        (301, WorkspaceRefusedError),
        (304, RetryableError),
        (400, SeriesRefusedError),
        (401, WorkspaceRefusedError),
        (403, MetricRefusedError),
        (404, MetricRefusedError),
        (405, MetricRefusedError),
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
    assert "the API key was rejected" in text
    assert "Invalid" not in text, "of a 401 nothing is quoted"
    assert KEY not in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) <= 300
    assert (caught.value.http_status, caught.value.headers.limit) == (401, 250000)
    assert caught.value.without_traceback().__traceback__ is None


GUISES = {
    "upper case": KEY.upper(),
    "percent, lower": "".join(f"%{ord(char):02x}" for char in KEY),
    "percent, upper": "".join(f"%{ord(char):02X}" for char in KEY),
    "twice encoded": "".join(f"%25{ord(char):02X}" for char in KEY),
    "JSON": "".join(f"\\u{ord(char):04x}" for char in KEY),
    "Python": "".join(f"\\x{ord(char):02x}" for char in KEY),
    "HTML": "".join(f"&#{ord(char)};" for char in KEY),
    "HTML, hex": "".join(f"&#x{ord(char):x};" for char in KEY),
    "mixed": "".join(f"%{ord(char):02x}" if at % 3 else char for at, char in enumerate(KEY)),
    "hex": KEY.encode().hex(),
    "HEX": KEY.encode().hex().upper(),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64, behind": base64.b64encode(f"Bearer {KEY} and more".encode()).decode(),
    "base64, between": base64.b64encode(f"k={KEY}, and more".encode()).decode(),
    "first 20": KEY[:20],
    "first 12": KEY[:12],
    "first 20, upper": KEY[:20].upper(),
}


@pytest.mark.parametrize("guise", GUISES)
def test_every_way_to_write_a_key_is_removed(guise: str) -> None:
    """A key that is escaped, encoded, in another case or cut short is removed from logs, tables and tracebacks."""
    written = GUISES[guise]
    for text in (written, f"before {written} after", f"({written})", f"x='{written}'", f"\u00e9 {written} \u00e9"):
        cleaned = Redactor([Secret(KEY)]).text(text)
        assert "***" in cleaned
        assert written not in cleaned
        # Of base64, letters at both ends depend on what is around the key, and tell a few of its bits at most.
        assert not any(written[at : at + 12] in cleaned for at in range(8, len(written) - 20))
        assert cleaned.startswith(text[: text.index(written)])


@given(st.text(max_size=200))
def test_texts_without_the_key_are_left_as_they_are(text: str) -> None:
    """Nothing else is changed, whatever escapes a text has."""
    assert Redactor([Secret(KEY)]).text(text) == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("guise", GUISES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500, 200])
@pytest.mark.parametrize(
    "form", ["KEY", '{"message": "no KEY here"}', '{"message": "success", "data": [{"time": "KEY"}]}']
)
def test_a_server_that_echoes_the_key_is_not_quoted_with_it(guise: str, status: int, form: str) -> None:
    """Whatever form a server gives the key, not eight characters of it reach an error."""
    written = GUISES[guise]

    async def main() -> str:
        body = form.replace("KEY", written.replace("\\", "\\\\")).encode()
        api = ApiClient(make_workspace(), FakeTransport(lambda _: Response(status, {}, body)), SystemClock())
        with pytest.raises(ApiError) as caught:
            await api.fetch(make_window(Unit.DAY, 20000, 1))
        return str(caught.value)

    text = asyncio.run(main())
    assert not any(written[at : at + 8] in text for at in range(len(written) - 8))


def test_a_server_is_quoted_in_plain_words() -> None:
    """Words that mix letters and digits, have five digits or more than 24 characters are withheld, the others kept."""
    body = b'{"message": "unknown app 3bbc4555-8fa0 in 2026, code 40012, see https://docs.example/errors/unknown-app"}'
    assert str(error_for_status(400, {}, body)).endswith("said: unknown app *** in 2026, code *** see ***")


def test_of_a_refused_key_nothing_is_quoted() -> None:
    """A 401 and a 403 often echo the key: their text is that of the collector alone."""
    for status in (401, 403):
        assert "said" not in str(error_for_status(status, {}, b'{"message":"plain words"}'))


def test_a_redirect_withholds_parts_of_a_host_that_could_be_a_key() -> None:
    """A host in a redirect is quoted by the same rule, label by label."""
    text = str(error_for_status(302, {"location": "https://3bbc4555.evil.test/"}, b""))
    assert "redirected to ***.evil.test." in text


def test_credentials_are_removed_without_knowing_the_key() -> None:
    """What follows `api_key=` or `Bearer`, and a proxy's password, are removed in any text, such as a traceback."""
    cleaned = Redactor().text("URL('https://h/x?api_key=abc&unit=day') {'Authorization': 'Bearer abc'}")
    assert cleaned == "URL('https://h/x?api_key=***&unit=day') {'Authorization': 'Bearer ***'}"
    cleaned = Redactor().text("http://user:pass@proxy.test:1 Basic dXNlcjpwYXNz s3://bucket/a@b Basic auth")
    assert cleaned == "http://***@proxy.test:1 Basic *** s3://bucket/a@b Basic auth"


@pytest.mark.parametrize("blanks", [9_990, 9_999, 10_000])
def test_a_long_text_is_not_cut_within_a_word(blanks: int) -> None:
    """Of a text of megabytes only the beginning is read, and the word at its end is left out."""
    assert withhold_codes(f"first{' ' * (blanks - 5)}abcdefgh{'%41' * 1_000_000}") in ("first", "first ***")
