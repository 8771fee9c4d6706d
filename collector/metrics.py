"""The catalogue of metrics: what each one is, as data. The rest of the program reads it, and never a metric's name.

Adding a metric is one entry in METRICS. Pure: nothing here reads anything.

Sources: Braze's pages of the endpoints (export/sessions, kpi, segments, custom_events, purchases).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from collector.model import Scope, Unit


class ValueType(Enum):
    """What a value is: a whole number of up to 53 bits, or an amount of money."""

    INTEGER = "int"
    FLOAT = "float"


@dataclass(frozen=True, slots=True)
class QuotaGroup:
    """Paths that share an hourly quota. `per_hour`: until a header reports another number; None: the config's."""

    name: str
    per_hour: int | None = None


SHARED = QuotaGroup("shared")
"""The quota of most paths, which production sends share, too. The config's `per_hour` caps it."""

PURCHASES = QuotaGroup("purchases", per_hour=1_000)

_DAY = (Unit.DAY,)
_WITHOUT_SEGMENT = (Scope.APP, Scope.WORKSPACE)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the API.

    `path`: of its series. `field`: the name of the value in each point. `units` and `scopes`: those it is offered in.
    `noun`: what one value counts, for the comments of tables. In the lake, the value's column is named as the metric.
    `has_events`: whether its series are of one custom event each. `costly`: collected by day and without a segment,
    unless the config gives it units and scopes of its own.
    `repeats`: why values of several days, and of several apps, must not be added up; empty where they may be.
    `quota`: the hourly quota that its requests count against. `view_prefix`: what the names of its views begin with.
    """

    name: str
    path: str
    field: str
    noun: str
    units: tuple[Unit, ...] = (Unit.DAY, Unit.HOUR)
    scopes: tuple[Scope, ...] = tuple(Scope)
    type: ValueType = ValueType.INTEGER
    has_events: bool = False
    costly: bool = False
    repeats: str = ""
    adds_over_days: bool = True
    adds_over_apps: bool = True
    quota: QuotaGroup = SHARED
    view_prefix: str | None = None

    @property
    def permission(self) -> str:
        """The permission that an API key needs: the path with dots."""
        return self.path.strip("/").replace("/", ".")

    @property
    def needs_segments(self) -> bool:
        """Whether each of its series is of a segment."""
        return all(scope.has_segment for scope in self.scopes)

    @property
    def only_scope(self) -> Scope | None:
        """Its scope, where it is offered in a single one, which then does not depend on what is wanted."""
        return self.scopes[0] if len(self.scopes) == 1 else None

    @property
    def views(self) -> str:
        """What the names of its views begin with, before the scope."""
        return f"{self.name}_" if self.view_prefix is None else self.view_prefix

    def units_of(self, wanted: tuple[Unit, ...], own: tuple[Unit, ...] | None = None) -> tuple[Unit, ...]:
        """The units to collect. `wanted`: by all metrics; `own`: by this one. Empty where it offers none of them."""
        if own is None and self.costly:
            return _DAY
        return tuple(unit for unit in self.units if unit in (wanted if own is None else own))

    def scopes_of(self, wanted: tuple[Scope, ...], own: tuple[Scope, ...] | None = None) -> tuple[Scope, ...]:
        """The scopes to collect, likewise."""
        if own is not None:
            return tuple(scope for scope in self.scopes if scope in own)
        if self.only_scope is not None:
            return self.scopes
        if self.costly:
            return tuple(scope for scope in _WITHOUT_SEGMENT if scope in wanted) or (Scope.APP,)
        return tuple(scope for scope in self.scopes if scope in wanted)


def _users(name: str, noun: str, repeats: str) -> Metric:
    return Metric(
        name, f"/kpi/{name}/data_series", name, noun, _DAY, _WITHOUT_SEGMENT,
        repeats=repeats, adds_over_days=False, adds_over_apps=False,
    )  # fmt: skip


METRICS = {
    metric.name: metric
    for metric in (
        Metric("sessions", "/sessions/data_series", "sessions", "sessions", view_prefix=""),
        Metric("new_users", "/kpi/new_users/data_series", "new_users", "new users", _DAY, _WITHOUT_SEGMENT),
        _users("dau", "daily active users", "a user who is active on two days, or in two apps, counts in each of them"),
        _users("mau", "monthly active users (of the 30 days up to a date)", "days and apps share most of their users"),
        Metric("uninstalls", "/kpi/uninstalls/data_series", "uninstalls", "uninstalls", _DAY, _WITHOUT_SEGMENT),
        Metric(
            "segment_size", "/segments/data_series", "size", "estimated number of users", _DAY,
            (Scope.WORKSPACE_SEGMENT,), repeats="each day counts the same users again, and segments overlap",
            adds_over_days=False, adds_over_apps=False,
        ),
        Metric("events", "/events/data_series", "count", "custom events", has_events=True, costly=True),
        Metric(
            "revenue", "/purchases/revenue_series", "revenue", "revenue", scopes=_WITHOUT_SEGMENT,
            type=ValueType.FLOAT, costly=True, quota=PURCHASES,
        ),
        Metric(
            "purchases", "/purchases/quantity_series", "purchase_quantity", "purchases", scopes=_WITHOUT_SEGMENT,
            costly=True, quota=PURCHASES,
        ),
    )
}  # fmt: skip
"""Every metric by its name, in the order of the catalogue."""

DEFAULT_METRICS = ("sessions",)
"""What is collected where the config names no metrics."""

QUOTAS = tuple({metric.quota.name: metric.quota for metric in METRICS.values()}.values())
"""Every quota, the shared one first."""
