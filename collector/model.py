"""The terms of the product as values: series, buckets, spans, windows, and what came of a window.

Buckets are integers, so that coverage and planning are arithmetic on intervals: a day is its number of days since
1970-01-01, an hour its number of hours since 1970-01-01T00:00Z. `buckets.py` turns them into instants and back.
An expected failure is a value (`Answered`, `Failed`, `Skipped`), never an exception. Nothing here reads a clock, a file
or the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


MAX_WINDOW = 100
"""Buckets in one request at most (reference page: `length` must be between 1 and 100 inclusive)."""


class Unit(StrEnum):
    """What a bucket is: a local calendar day or a UTC hour."""

    DAY = "day"
    HOUR = "hour"


class Scope(StrEnum):
    """Which ids a series sets. Rows of different scopes overlap and are never added up."""

    APP = "app"
    APP_SEGMENT = "app_segment"
    WORKSPACE = "workspace"
    WORKSPACE_SEGMENT = "workspace_segment"

    @property
    def has_app(self) -> bool:
        """Whether series of this scope name an app."""
        return self in (Scope.APP, Scope.APP_SEGMENT)

    @property
    def has_segment(self) -> bool:
        """Whether series of this scope name a segment."""
        return self in (Scope.APP_SEGMENT, Scope.WORKSPACE_SEGMENT)


class Reason(StrEnum):
    """Why a window is requested: the first, in this order, that holds for any of its buckets."""

    FORCED = "forced"
    NEW = "new"
    GAP = "gap"
    LOOKBACK = "lookback"


class SeriesKey(NamedTuple):
    """What identifies a series within its workspace: ids, never names, since names may change.

    `metric` is a name of the catalogue (`metrics.py`). `event`: the custom event that is counted, by the one metric
    that has events. An event has no id: its name identifies it.
    """

    metric: str
    scope: Scope
    unit: Unit
    app_id: str | None
    segment_id: str | None
    event: str | None = None


class Series(NamedTuple):
    """One series of a workspace, with the names that the config gives its app and segment today.

    `counted`: how messages name the metric and the event; empty for what is counted by default.
    """

    workspace: str
    key: SeriesKey
    app: str | None = None
    segment: str | None = None
    counted: str = ""

    @property
    def scope(self) -> Scope:
        """The scope of the key."""
        return self.key.scope

    @property
    def unit(self) -> Unit:
        """The unit of the key."""
        return self.key.unit

    def __str__(self) -> str:
        """The series as a person would name it: `acme/ios/vip by day`, with the metric where it is not the default."""
        parts = [self.workspace]
        if self.scope.has_app:
            parts.append(self.app or str(self.key.app_id))
        if self.scope.has_segment:
            parts.append(self.segment or str(self.key.segment_id))
        counted = f" {self.counted}" if self.counted else ""
        return f"{'/'.join(parts)}{counted} by {self.unit}"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Consecutive buckets of one unit, from `first` up to, and not including, `stop`. Empty where stop <= first."""

    first: int
    stop: int

    def __len__(self) -> int:
        """The number of buckets."""
        return max(0, self.stop - self.first)

    def __contains__(self, bucket: int) -> bool:
        """Whether the bucket is in the span."""
        return self.first <= bucket < self.stop

    def __and__(self, other: Span) -> Span:
        """The buckets in both."""
        return Span(max(self.first, other.first), min(self.stop, other.stop))


class Window(NamedTuple):
    """1 to 100 consecutive buckets of one series: one request."""

    series: Series
    span: Span
    reason: Reason


class Answered(NamedTuple):
    """The API answered the window. `buckets` and `values` are parallel; a bucket that was not reported is absent.

    `answered_date`, `quota_remaining`: `Date` and `X-RateLimit-Remaining` of the reply, where it had them.
    """

    window: Window
    buckets: Sequence[int]
    values: Sequence[float]
    http_status: int
    attempts: int
    requested_at: datetime
    duration_ms: int
    answered_date: datetime | None = None
    quota_remaining: int | None = None


class Failed(NamedTuple):
    """The window was requested and got no answer. `error` is one line, redacted; `http_status` None without a reply."""

    window: Window
    error: str
    http_status: int | None
    attempts: int
    requested_at: datetime
    duration_ms: int
    quota_remaining: int | None = None


class Skipped(NamedTuple):
    """The window was planned and never sent; `error` says why in one line.

    `series_span`: where one outcome is kept for all skipped windows of a series, the span from the oldest to the
    newest.
    """

    window: Window
    error: str
    series_span: Span | None = None


Outcome = Answered | Failed | Skipped
