"""The API for one workspace: a window in, points out, or an error whose class says what to do next.

Each request is sent once: rate limits and retries are in `collector.fetch`. Values that are made for every request,
here and in the modules below, are named tuples: immutable, and made in a third of a dataclass's time.

Statuses, by Braze's documentation: 400 do not repeat; 401 stops the workspace; 403, 404, 405 stop the metric;
429 wait; 5xx repeat. A 202 was queued, which is not an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import orjson

from collector.api.decode import Decoder, Points
from collector.api.errors import (
    ApiError,
    MetricRefusedError,
    QuotaExhaustedError,
    RetryableError,
    SeriesRefusedError,
    WorkspaceRefusedError,
)
from collector.api.headers import NO_HEADERS, RateLimitHeaders, parse_headers
from collector.api.request import RequestBuilder
from collector.metrics import DEFAULT_METRICS, METRICS
from collector.redaction import Redactor, quote_json, withhold_codes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.api.transport import Transport
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.metrics import Metric
    from collector.model import Window


class Reply(NamedTuple):
    """An answer: the points of the window, and what its headers reported."""

    points: Points
    http_status: int
    headers: RateLimitHeaders


class ApiClient:
    """The client of one workspace."""

    def __init__(self, workspace: Workspace, transport: Transport, clock: Clock) -> None:
        self._requests = RequestBuilder(workspace)
        self._transport = transport
        self._clock = clock
        self._decoder = Decoder(workspace.timezone, workspace.naive_hours)
        self._redactor = Redactor([workspace.api_key])

    async def fetch(self, window: Window) -> Reply:
        """Send one request.

        Raises:
            ApiError: one of its four kinds. Its text is one line without the key, its `headers` are those of the reply.

        """
        headers, status, discard = NO_HEADERS, None, None
        try:
            response = await self._transport.get(self._requests.build(window))
            headers, status = parse_headers(response.headers, self._clock.now()), response.status
            discard = response.discard
            metric = METRICS[window.series.key.metric]
            refusal = error_for_status(status, response.headers, response.body, metric)
            if refusal is None:
                return Reply(self._points(response.body, window), status, headers)
        except ApiError as error:
            refusal = error
        if discard is not None:
            discard()  # what is not an answer may be followed by the real one
        refusal.args = (self._redactor.one_line(str(refusal)),)
        refusal.headers = headers
        refusal.http_status = refusal.http_status or status
        raise refusal

    def _points(self, body: bytes, window: Window) -> Points:
        points = self._decoder.decode(body, window)
        return points if points.warning is None else points._replace(warning=self._redactor.one_line(points.warning))


_ADVICE: Mapping[int, tuple[type[ApiError], str]] = {
    202: (RetryableError, "the export was queued and not answered"),
    304: (RetryableError, "the reply has no answer (not modified), and the request was not conditional"),
    400: (SeriesRefusedError, "a parameter was refused: check the ids of the app and the segment in the config"),
    401: (
        WorkspaceRefusedError,
        "the API key was rejected: check that it is complete, without quotes, and of the instance in `endpoint`",
    ),
    403: (
        MetricRefusedError,
        (
            "the API key does not have the permission {permission}, which {metric} needs: permissions of a Braze key "
            "cannot be changed after it was made, so make a new key that has it"
        ),
    ),
    404: (
        MetricRefusedError,
        "the server has nothing at the path of {metric} (permission {permission}): check `endpoint`",
    ),
    405: (
        MetricRefusedError,
        "the server does not accept GET requests at the path of {metric} (permission {permission}): check `endpoint`",
    ),
    407: (WorkspaceRefusedError, "the proxy requires credentials: check the proxy settings of the environment"),
    408: (RetryableError, "the server timed out waiting for the request"),
    425: (RetryableError, "the server was not ready for the request"),
    429: (QuotaExhaustedError, "the rate limit is reached"),
}


def error_for_status(
    status: int, headers: Mapping[str, str], body: bytes, metric: Metric = METRICS[DEFAULT_METRICS[0]]
) -> ApiError | None:
    """The error to raise, whose text is not redacted yet; None where the body is to be decoded."""
    if 200 <= status < 300 and status != 202:
        return None
    if 300 <= status < 400 and status != 304:
        return WorkspaceRefusedError(_redirected(status, headers), http_status=status)
    kind, advice = _ADVICE.get(status) or _advice_by_class(status)
    advice = advice.format(metric=metric.name, permission=metric.permission)
    # Of a refused key nothing is quoted: such replies echo it.
    said = "" if status in (401, 403) else withhold_codes(_said(body))
    return kind(f"HTTP {status}: {advice}{f'; the server said: {said}' if said else ''}", http_status=status)


def _advice_by_class(status: int) -> tuple[type[ApiError], str]:
    if 400 <= status < 500:
        return SeriesRefusedError, "the request was refused"
    return RetryableError, "the server failed"


def _redirected(status: int, headers: Mapping[str, str]) -> str:
    """Names the host only: the rest of the address may hold the key."""
    try:
        host = urlsplit(headers.get("location", "")).hostname or "the same host"
        host = ".".join(map(withhold_codes, host.split(".")))
    except ValueError:
        host = "an invalid address"
    return (
        f"HTTP {status}: redirected to {host}. Redirects are not followed, since the key would be sent there: "
        "check `endpoint` and the proxy"
    )


def _said(body: bytes) -> str:
    """The server's own message, uncut; a page of HTML says nothing worth a log line."""
    start = body.lstrip()
    if start[:1] == b"<":
        return "(an HTML page)"
    try:
        answer = orjson.loads(body)
    except ValueError:
        return start.decode("utf-8", "replace")
    if isinstance(answer, dict):
        return "; ".join(quote_json(answer[key]) for key in ("message", "errors") if answer.get(key))
    return quote_json(answer)
