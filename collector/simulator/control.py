"""The control endpoints under `/_simulator/`, and the names that people use for series, dates and buckets.

In: method, path, query. Out: a status and JSON. Control requests need no key and no quota. They are for curl and for
tests in other processes; tests in this process use the `Simulation` itself. The functions below the class turn
`acme/ios/vip/day`, dates and bucket labels into series and spans, for the control endpoints and for
`collector simulate --truth`. They raise ValueError on a mistake.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.buckets import day_number, end_of_closed, format_bucket, span_of_dates
from collector.metrics import DEFAULT_METRICS, METRICS, ValueType
from collector.model import Span, Unit
from collector.simulator.answers import key_of, parse_instant
from collector.simulator.options import Faults, parse_rates
from collector.simulator.traffic import hours_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from collector.config.settings import App, Segment
    from collector.model import SeriesKey
    from collector.simulator.simulation import Simulation
    from collector.simulator.sites import SimulatedWorkspace


_ALL = ("", "-", None)
_DEFAULT_DAYS = 14


CONTROL_PREFIX: Final = "/_simulator/"


class Control:
    """Answers the control endpoints of one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._actions: dict[tuple[str, str], Callable[[Mapping[str, str]], dict[str, Any]]] = {
            ("GET", "now"): self._now,
            ("PUT", "now"): self._move_now,
            ("GET", "truth"): self._truth,
            ("GET", "stats"): self._stats,
            ("DELETE", "stats"): self._clear_stats,
            ("GET", "requests"): self._requests,
            ("POST", "spend"): self._spend,
            ("POST", "refill"): self._refill,
            ("PUT", "restate"): self._restate,
            ("PUT", "faults"): self._faults,
        }

    def answer(self, method: str, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and JSON body. A mistake in the query gives a 400 that says what to write."""
        action = self._actions.get((method, path.removeprefix(CONTROL_PREFIX)))
        if action is None:
            known = ", ".join(f"{verb} {CONTROL_PREFIX}{name}" for verb, name in self._actions)
            return 404, orjson.dumps({"message": f"no such control endpoint; the endpoints are: {known}"})
        try:
            return 200, orjson.dumps(action(query))
        except KeyError as error:
            return 400, orjson.dumps({"message": f"missing parameter: write {error.args[0]}=… in the query"})
        except ValueError as error:
            return 400, orjson.dumps({"message": str(error)})

    def _now(self, _query: Mapping[str, str]) -> dict[str, Any]:
        return {"now": self._simulation.now.isoformat()}

    def _move_now(self, query: Mapping[str, str]) -> dict[str, Any]:
        self._simulation.now = None if query["at"] == "real" else _instant_in(query["at"])
        return self._now(query)

    def _truth(self, query: Mapping[str, str]) -> dict[str, Any]:
        simulation = self._simulation
        workspace, key = find_series(
            simulation, query["workspace"], query.get("app"), query.get("segment"), query.get("unit", "day"),
            query.get("metric", DEFAULT_METRICS[0]), query.get("event"),
        )  # fmt: skip
        at = _instant_in(query["at"]) if "at" in query else simulation.now
        span = span_of_names(workspace, key.unit, query.get("from"), query.get("to"), at)
        rows = [
            {"bucket": name, key.metric: value} for name, value in expected_rows(simulation, workspace, key, span, at)
        ]
        return {"at": at.isoformat(), "rows": rows}

    def _stats(self, _query: Mapping[str, str]) -> dict[str, Any]:
        log, workspaces = self._simulation.request_log, self._simulation.workspaces.values()
        return {
            "requests": log.requests,
            "by_status": dict(log.by_outcome),
            "by_workspace": dict(log.by_workspace),
            "busiest_second": log.busiest_second,
            "most_in_flight": log.most_in_flight,
            "pool_remaining": {workspace.name: workspace.quota.remaining for workspace in workspaces},
            "remaining": {
                workspace.name: {name: quota.remaining for name, quota in workspace.quotas.items()}
                for workspace in workspaces
            },
        }

    def _clear_stats(self, query: Mapping[str, str]) -> dict[str, Any]:
        self._simulation.request_log.clear()
        return self._stats(query)

    def _requests(self, _query: Mapping[str, str]) -> dict[str, Any]:
        return {
            "requests": [
                {
                    "workspace": each.workspace,
                    "path": each.path,
                    "parameters": dict(each.parameters),
                    "outcome": each.outcome,
                }
                for each in list(self._simulation.request_log.entries)
            ]
        }

    def _spend(self, query: Mapping[str, str]) -> dict[str, Any]:
        workspace = find_series(self._simulation, query["workspace"], None, None, "day")[0]
        workspace.quota.spend(_integer("requests", query["requests"]))
        return {"remaining": workspace.quota.remaining}

    def _refill(self, query: Mapping[str, str]) -> dict[str, Any]:
        workspace = find_series(self._simulation, query["workspace"], None, None, "day")[0]
        workspace.quota.refill()
        return {"remaining": workspace.quota.remaining}

    def _restate(self, query: Mapping[str, str]) -> dict[str, Any]:
        workspace, key = find_series(
            self._simulation, query["workspace"], query.get("app"), query.get("segment"), query.get("unit", "day"),
            query.get("metric", DEFAULT_METRICS[0]), query.get("event"),
        )  # fmt: skip
        bucket = bucket_at(key.unit, query["bucket"])
        text = query[key.metric]
        is_amount = METRICS[key.metric].type is ValueType.FLOAT
        value = float(text) if is_amount else _integer(key.metric, text)
        self._simulation.restate(workspace.name, key, {bucket: value})
        return {"bucket": query["bucket"], key.metric: value, "by": Unit(key.unit)}

    def _faults(self, query: Mapping[str, str]) -> dict[str, Any]:
        rates = parse_rates(query["rates"])
        first = _integer("first_attempts", query["first_attempts"]) if "first_attempts" in query else None
        old = self._simulation.faults
        self._simulation.faults = Faults(rates, first, old.retry_after_seconds, old.slow_seconds)
        return {"rates": {fault.value: rate for fault, rate in rates.items()}, "first_attempts": first}


def find_series(
    simulation: Simulation,
    workspace: str,
    app: str | None,
    segment: str | None,
    unit: str,
    metric: str = DEFAULT_METRICS[0],
    event: str | None = None,
) -> tuple[SimulatedWorkspace, SeriesKey]:
    """The series of these names or ids. None, an empty text or `-` means all apps, or all users."""
    names = [each.name for each in simulation.workspaces.values()]
    if workspace not in names:
        raise ValueError(f"unknown workspace {workspace!r}; the config has: {', '.join(names)}")
    if unit not in tuple(Unit):
        raise ValueError(f"{unit!r} is not a unit: write day or hour")
    if metric not in METRICS:
        raise ValueError(f"{metric!r} is not a metric: write one of {', '.join(METRICS)}")
    if METRICS[metric].has_events is (event is None):
        raise ValueError(f"{metric} has no events" if event else f"{metric} is counted by event: name one")
    found = simulation.workspace(workspace)
    apps = [each for each in found.config.apps if each.id in found.traffic]
    app_id = None if app in _ALL else _id_of("app", str(app), apps)
    segment_id = None if segment in _ALL else _id_of("segment", str(segment), found.segments.values())
    return found, key_of(Unit(unit), app_id, segment_id, metric, event)


def read_series(
    simulation: Simulation, text: str, metric: str = DEFAULT_METRICS[0], event: str | None = None
) -> tuple[SimulatedWorkspace, SeriesKey]:
    """Parse a series written as `workspace/app/segment/unit`, where `-` means all apps or all users."""
    parts = text.split("/")
    if len(parts) != 4:
        raise ValueError(f"{text!r}: write WORKSPACE/APP/SEGMENT/UNIT, such as acme/ios/-/day (- means all)")
    return find_series(simulation, parts[0], parts[1], parts[2], parts[3], metric, event)


def span_of_names(workspace: SimulatedWorkspace, unit: Unit, first: str | None, last: str | None, at: datetime) -> Span:
    """The buckets of the local dates `first` to `last`, both inclusive; by default the 14 days up to `at`."""
    today = at.astimezone(workspace.zone).date()
    end = _date(last) if last else today
    start = _date(first) if first else end - timedelta(days=_DEFAULT_DAYS - 1)
    if end < start:
        raise ValueError(f"the span ends ({end}) before it starts ({start})")
    # The future has no rows. Cutting the span here keeps a far `last` from costing time.
    stop = end_of_closed(unit, at, timedelta(0), workspace.zone) + 1
    return span_of_dates(unit, start, end, workspace.zone) & Span(0, stop)


def expected_rows(
    simulation: Simulation, workspace: SimulatedWorkspace, key: SeriesKey, span: Span, at: datetime
) -> Iterator[tuple[str, float]]:
    """(label, value) of each bucket that the API reports at the instant: what a complete collection must hold."""
    rows = simulation.workspace_rows(workspace, key, span, at)
    return ((format_bucket(key.unit, bucket), count) for bucket, count in rows)


def bucket_at(unit: Unit, text: str) -> int:
    """The bucket of a label: `2026-11-01`, or `2026-11-01T05:00:00Z`."""
    if unit is Unit.DAY:
        return day_number(_date(text))
    hours = hours_of(_instant_in(text))
    if not hours.is_integer():
        raise ValueError(f"{text!r} is not on the hour")
    return int(hours)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a valid date: write it as 2026-11-01") from None


def _id_of(kind: str, name: str, items: Iterable[App] | Iterable[Segment]) -> str:
    known: list[App | Segment] = list(items)
    for item in known:
        if name in (item.name, item.id):
            return item.id
    raise ValueError(f"unknown {kind} {name!r}; the config has: {', '.join(item.name for item in known) or 'none'}")


def _instant_in(text: str) -> datetime:
    # A + that is not percent-encoded arrives as a space.
    return parse_instant(text.replace(" ", "+"))


def _integer(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} must be a non-negative integer, not {text!r}")
    return int(text)
