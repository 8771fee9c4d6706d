"""The catalogue of metrics: what each one is, as data. The rest of the program reads it, and never a metric's name.

Adding a metric is one entry in METRICS. Pure: nothing here reads anything.
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
class Metric:
    """A metric of the API.

    `path`: of its series. `field`: the name of the value in each point. `units` and `scopes`: those it is offered in.
    `noun`: what one value counts, for the comments of tables. In the lake, the value's column is named as the metric.
    """

    name: str
    path: str
    field: str
    noun: str
    units: tuple[Unit, ...] = (Unit.DAY, Unit.HOUR)
    scopes: tuple[Scope, ...] = tuple(Scope)
    type: ValueType = ValueType.INTEGER

    @property
    def permission(self) -> str:
        """The permission that an API key needs: the path with dots."""
        return self.path.strip("/").replace("/", ".")


METRICS = {
    metric.name: metric
    for metric in (Metric("sessions", path="/sessions/data_series", field="sessions", noun="sessions"),)
}
"""Every metric by its name, in the order of the catalogue."""
