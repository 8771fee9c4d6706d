"""What a reply's status means: an answer to decode, or which error. Pure.

Source: the table of errors in the facts around the reference page (400 never again, 401/403/404/405 stop, 429 wait,
5xx again; a 202 is queued and so no answer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from collector.api.errors import (
    ApiError,
    AskAgainError,
    GiveUpSeriesError,
    PoolEmptyError,
    StopWorkspaceError,
)
from collector.api.redact import written

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADVICE: Mapping[int, tuple[type[ApiError], str]] = {
    202: (AskAgainError, "the export was queued, not answered"),
    400: (GiveUpSeriesError, "a parameter was refused: check the ids of the app and the segment in the config"),
    401: (
        StopWorkspaceError,
        "the key was refused: check that it is whole and without quotes, and that `endpoint` is the instance it is of",
    ),
    403: (StopWorkspaceError, "the key may not: give it the permission sessions.data_series, and check the plan"),
    404: (StopWorkspaceError, "nothing is served there: check `endpoint`"),
    405: (StopWorkspaceError, "nothing of the kind is served there: check `endpoint`"),
    407: (StopWorkspaceError, "the proxy wants credentials: check the proxy settings of the environment"),
    408: (AskAgainError, "the server gave up waiting for the request"),
    425: (AskAgainError, "the server was not ready for the request"),
    429: (PoolEmptyError, "the pool of requests is empty"),
}


def judge(status: int, headers: Mapping[str, str], body: bytes) -> ApiError | None:
    """None where the body is to be decoded, else the error to raise; its text still holds what the server echoed."""
    if 200 <= status < 300 and status != 202:
        return None
    if 300 <= status < 400:
        return StopWorkspaceError(_redirected(status, headers), http_status=status)
    kind, advice = _ADVICE.get(status) or _advice_by_class(status)
    said = _said(body)
    return kind(f"HTTP {status}: {advice}{f'; the server said: {said}' if said else ''}", http_status=status)


def _advice_by_class(status: int) -> tuple[type[ApiError], str]:
    if 400 <= status < 500:
        return GiveUpSeriesError, "the request was refused"
    return AskAgainError, "the server failed"


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
        return "; ".join(written(answer[key]) for key in ("message", "errors") if answer.get(key))
    return written(answer)
