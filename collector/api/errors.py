"""Why a request got no answer. The class says what to do next, the text says why, in one line.

The texts are redacted (`redaction.py`), so they may be logged and landed as they are.
"""

from __future__ import annotations

from typing import Self

from collector.api.headers import NO_HEADERS, RateLimitHeaders


class ApiError(Exception):
    """No answer. `http_status` is None where no reply came; `headers` are those of the reply."""

    def __init__(self, message: str, *, http_status: int | None = None, headers: RateLimitHeaders = NO_HEADERS) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.headers = headers

    def without_traceback(self) -> Self:
        """The error without traceback and cause, whose frames would keep the reply's body in memory."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class RetryableError(ApiError):
    """Try again after a backoff: the network or the server failed, or the response is not an answer."""


class ConnectionLostError(RetryableError):
    """Try again at once: the server closed a connection that was kept, and most likely never saw the request."""


class QuotaExhaustedError(ApiError):
    """Wait, for the complete workspace: 429. `headers.retry_after` says how long, where the server said so."""


class SeriesRefusedError(ApiError):
    """Do not request this series again in this run: a parameter was refused."""


class NotClosedError(ApiError):
    """Do not repeat the window in this run: it has a bucket that has not ended yet by the server's clock."""


class MetricRefusedError(ApiError):
    """Send nothing more for this metric of this workspace in this run: the permission or the path are wrong."""


class WorkspaceRefusedError(ApiError):
    """Send nothing more for this workspace in this run: key or address are wrong."""
