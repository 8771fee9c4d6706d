"""The config as the rest of the program sees it: frozen values with every default filled in.

Nothing here knows YAML, line numbers or the environment; `collector.config.load` builds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from collector.metrics import DEFAULT_METRICS, METRICS
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from zoneinfo import ZoneInfo

    from collector.metrics import Metric

DEFAULT_LOOKBACK: Mapping[Unit, int] = MappingProxyType({Unit.DAY: 14, Unit.HOUR: 336})
"""Both 14 days, so that hours go on adding up to days."""


class Secret:
    """A key that is not shown by accident: repr, str, format and logs print `***`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The key itself, for requests and for redaction."""
        return self._text

    def __repr__(self) -> str:
        """Never the key."""
        return "***"

    def __format__(self, spec: str) -> str:
        """Never the key, however wide."""
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        """Equal where the keys are."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """As the key's."""
        return hash(self._text)


class Auth(StrEnum):
    """How the key is sent: in the Authorization header, or as `api_key` in the URL (as the reference page has it)."""

    HEADER = "header"
    QUERY = "query"


class NaiveHours(StrEnum):
    """How an hour without an offset is read: as UTC, or in the workspace's zone."""

    UTC = "utc"
    WORKSPACE = "workspace"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`per_hour`: the quota; `reserve`: the share of it (0 to 1) left to others; `per_second`: this program's rate."""

    per_hour: int = 250_000
    reserve: float = 0.2
    per_second: float = 100.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Attempts in all for one window, and the backoff: full jitter up to base * 2**n seconds, `max_seconds` at most."""

    attempts: int = 6
    base_seconds: float = 0.5
    max_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Storage:
    """How an object store is reached. None: as the cloud's environment, profile or instance role says.

    `timeout_seconds`: one request. `retry_seconds`: how long one that failed temporarily is repeated.
    """

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    account: str | None = None
    timeout_seconds: float = 60.0
    retry_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the process, whatever the number of workspaces. `connections`: open at once, idle ones included."""

    connections: int = 200


@dataclass(frozen=True, slots=True)
class App:
    """An app. `segments`: the names it is restricted to (None: all, empty: none). Dates are local, both included."""

    name: str
    id: str
    segments: tuple[str, ...] | None = None
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment with analytics tracking enabled. Dates are local, both included."""

    name: str
    id: str
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True, slots=True)
class MetricChoice:
    """A metric that is wanted, by its name in the catalogue. `units`, `scopes`: its own; None: the workspace's."""

    name: str
    units: tuple[Unit, ...] | None = None
    scopes: tuple[Scope, ...] | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace with its defaults resolved: a host, a key, a quota, a time zone, and what is wanted of it.

    `start`/`end` are the inherited ones; an app's or segment's own win. `api_key` is None where the command needs none.
    `key_variable`: the environment variable that the config names for it; None: it is in a file.
    `metrics`: in the order of the config. `events`: names of custom events, for the metrics that have events.
    """

    name: str
    endpoint: str
    timezone: ZoneInfo
    api_key: Secret | None = None
    apps: tuple[App, ...] = ()
    segments: tuple[Segment, ...] = ()
    units: tuple[Unit, ...] = (Unit.DAY, Unit.HOUR)
    scopes: tuple[Scope, ...] = (Scope.APP, Scope.APP_SEGMENT)
    metrics: tuple[MetricChoice, ...] = tuple(map(MetricChoice, DEFAULT_METRICS))
    events: tuple[str, ...] = ()
    start: date | None = None
    end: date | None = None
    lookback: Mapping[Unit, int] = field(default_factory=lambda: DEFAULT_LOOKBACK)
    settle: timedelta = timedelta(minutes=10)
    refresh_after: timedelta = timedelta(hours=6)
    rate_limit: RateLimit = RateLimit()
    concurrency: int = 32
    retry: Retry = Retry()
    timeout_seconds: float = 30.0
    auth: Auth = Auth.HEADER
    naive_hours: NaiveHours = NaiveHours.UTC
    key_variable: str | None = None

    def wanted_tables(self) -> Iterator[tuple[Metric, Scope, Unit]]:
        """What is collected, as the data tables that it belongs to: metrics in the config's order, scopes, units."""
        for choice in self.metrics:
            metric = METRICS[choice.name]
            units = metric.units_of(self.units, choice.units)
            for scope in metric.scopes_of(self.scopes, choice.scopes):
                for unit in units:
                    yield metric, scope, unit


@dataclass(frozen=True, slots=True)
class Config:
    """A config file. `lake` is an absolute folder path or a URL such as s3://bucket/prefix.

    `require_lake`: whether a lake that is not there is an error; otherwise, a run makes it.
    `warnings`: what is not a mistake but worth a line on stderr, each as `FILE:LINE: key.path: sentence`.
    """

    lake: str
    workspaces: tuple[Workspace, ...]
    warnings: tuple[str, ...] = ()
    storage: Storage = Storage()
    limits: Limits = Limits()
    require_lake: bool = False
