"""What became of a planned window: answered, failed or skipped. Expected failure is a value, never an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from collector.model import Span, Window


class Answered(NamedTuple):
    """The API answered the window. `buckets` and `sessions` run in parallel; a bucket it did not report is absent."""

    window: Window
    buckets: Sequence[int]
    sessions: Sequence[int]
    http_status: int
    attempts: int
    requested_at: datetime
    duration_ms: int


class Failed(NamedTuple):
    """The window was asked for and got no answer. `error` is one line, redacted; `http_status` None without a reply."""

    window: Window
    error: str
    http_status: int | None
    attempts: int
    requested_at: datetime
    duration_ms: int


class Skipped(NamedTuple):
    """The window was planned and never sent; `error` says why in one line.

    `whole`: where one outcome stands for all of a series' skipped windows, the span from the oldest to the newest.
    """

    window: Window
    error: str
    whole: Span | None = None


Outcome = Answered | Failed | Skipped
