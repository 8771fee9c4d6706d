"""What can come of a request in place of an answer. The class says what to do next; the text says why, in one line.

Texts are made by this package alone and go through `redact.py`, so they may be logged and landed as they are.
Source of the rules: the reference page, and the table of errors in `docs/reference/braze_facts.md`.
"""

from __future__ import annotations

from typing import Self

from collector.api.headers import NO_HEADERS, RateLimitHeaders


class ApiError(Exception):
    """No answer. `http_status` is None where no reply came; `headers` are those of the reply, as far as they count."""

    def __init__(self, message: str, *, http_status: int | None = None, headers: RateLimitHeaders = NO_HEADERS) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.headers = headers

    def lean(self) -> Self:
        """Itself without traceback and cause: their frames would keep the reply's body alive as long as the error."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class RetryableError(ApiError):
    """Ask again after a backoff: the network, the server, or a reply that is not what the page promises."""


class QuotaExhaustedError(ApiError):
    """The whole workspace waits: 429. `headers.retry_after` is how long, where the server said so."""


class SeriesRefusedError(ApiError):
    """Never ask this series again in this run: a parameter was refused."""


class WorkspaceRefusedError(ApiError):
    """Send nothing more to this workspace in this run: key, permission or address are wrong."""
