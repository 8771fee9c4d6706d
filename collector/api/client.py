"""The endpoint as a question: a window in, points out, or an error whose class says what to do.

One `Api` a workspace. It sends each request once: pacing, pool and retries are the lane's. What is made anew for every
request, here and in the modules it uses, is a named tuple: immutable, and made in a third of a dataclass's time.

What a reply's status means: an answer to decode, or which error. Pure.

Source: the table of errors in the facts around the reference page (400 never again, 401/403/404/405 stop, 429 wait,
5xx again; a 202 is queued and so no answer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import orjson

from collector.api.decode import Decoder, Points
from collector.api.errors import (
    ApiError,
    QuotaExhaustedError,
    RetryableError,
    SeriesRefusedError,
    WorkspaceRefusedError,
)
from collector.api.headers import NO_HEADERS, RateLimitHeaders, parse_headers
from collector.api.request import RequestBuilder
from collector.redaction import Redactor, quote_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.api.transport import Transport
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.model import Window


class Reply(NamedTuple):
    """An answer: points of the window, and what its headers told."""

    points: Points
    http_status: int
    headers: RateLimitHeaders


class ApiClient:
    """Asks one workspace."""

    def __init__(self, workspace: Workspace, transport: Transport, clock: Clock) -> None:
        self._requests = RequestBuilder(workspace)
        self._transport = transport
        self._clock = clock
        self._decoder = Decoder(workspace.timezone, workspace.naive_hours)
        self._redactor = Redactor(workspace.api_key)

    async def ask(self, window: Window) -> Reply:
        """Ask once.

        Raises:
            ApiError: one of its four kinds; its text is one line without the key, its `headers` those of the reply.

        """
        headers, status = NO_HEADERS, None
        try:
            response = await self._transport.get(self._requests.build(window))
            headers, status = parse_headers(response.headers, self._clock.now()), response.status
            refusal = error_for_status(status, response.headers, response.body)
            if refusal is None:
                return Reply(self._points(response.body, window), status, headers)
        except ApiError as error:
            refusal = error
        refusal.args = (self._redactor.clean(str(refusal)),)
        refusal.headers = headers
        refusal.http_status = refusal.http_status or status
        raise refusal

    def _points(self, body: bytes, window: Window) -> Points:
        points = self._decoder.decode(body, window)
        return points if points.warning is None else points._replace(warning=self._redactor.clean(points.warning))


_ADVICE: Mapping[int, tuple[type[ApiError], str]] = {
    202: (RetryableError, "the export was queued, not answered"),
    400: (SeriesRefusedError, "a parameter was refused: check the ids of the app and the segment in the config"),
    401: (
        WorkspaceRefusedError,
        "the key was refused: check that it is whole and without quotes, and that `endpoint` is the instance it is of",
    ),
    403: (WorkspaceRefusedError, "the key may not: give it the permission sessions.data_series, and check the plan"),
    404: (WorkspaceRefusedError, "nothing is served there: check `endpoint`"),
    405: (WorkspaceRefusedError, "nothing of the kind is served there: check `endpoint`"),
    407: (WorkspaceRefusedError, "the proxy wants credentials: check the proxy settings of the environment"),
    408: (RetryableError, "the server gave up waiting for the request"),
    425: (RetryableError, "the server was not ready for the request"),
    429: (QuotaExhaustedError, "the pool of requests is empty"),
}


def error_for_status(status: int, headers: Mapping[str, str], body: bytes) -> ApiError | None:
    """None where the body is to be decoded, else the error to raise; its text still holds what the server echoed."""
    if 200 <= status < 300 and status != 202:
        return None
    if 300 <= status < 400:
        return WorkspaceRefusedError(_redirected(status, headers), http_status=status)
    kind, advice = _ADVICE.get(status) or _advice_by_class(status)
    said = _said(body)
    return kind(f"HTTP {status}: {advice}{f'; the server said: {said}' if said else ''}", http_status=status)


def _advice_by_class(status: int) -> tuple[type[ApiError], str]:
    if 400 <= status < 500:
        return SeriesRefusedError, "the request was refused"
    return RetryableError, "the server failed"


def _redirected(status: int, headers: Mapping[str, str]) -> str:
    """Names the host alone: the rest of the address may hold the key."""
    try:
        host = urlsplit(headers.get("location", "")).hostname or "the same host"
    except ValueError:
        host = "an address that is none"
    return (
        f"HTTP {status}: redirected to {host}, and not followed, since that would carry the key there: "
        "check `endpoint`, and the proxy"
    )


def _said(body: bytes) -> str:
    """The server's own words, whole as they came; a page of HTML says nothing worth a log line."""
    start = body.lstrip()
    if start[:1] == b"<":
        return "(a page of HTML)"
    try:
        answer = orjson.loads(body)
    except ValueError:
        return start.decode("utf-8", "replace")
    if isinstance(answer, dict):
        return "; ".join(quote_json(answer[key]) for key in ("message", "errors") if answer.get(key))
    return quote_json(answer)
