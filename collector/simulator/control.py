"""The truth under the names that people use: `acme/ios/vip/day`, dates, labels of buckets.

In: a simulation, names or ids. Out: rows with the labels that the lake's own buckets have. ValueError on a mistake.

The control endpoints under `/_simulator/`: move the clock, read the truth, see what was asked. No key, no pool.

In: method, path, query. Out: a status and JSON. For people with curl and for tests in other processes; tests in this
process use the `Simulation` itself.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.buckets import day_number, end_of_closed, format_bucket, span_of_dates
from collector.model import Span, Unit
from collector.simulator.answers import key_of, read_instant
from collector.simulator.options import Faults, parse_rates
from collector.simulator.simulation import truth_rows
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


def series_of(
    simulation: Simulation, workspace: str, app: str | None, segment: str | None, unit: str
) -> tuple[SimulatedWorkspace, SeriesKey]:
    """The series under names or ids; None, an empty text or `-` for an app or segment means all."""
    names = [site.name for site in simulation.sites.values()]
    if workspace not in names:
        raise ValueError(f"no workspace is called {workspace!r}; there are: {', '.join(names)}")
    if unit not in tuple(Unit):
        raise ValueError(f"{unit!r} is no unit: write day or hour")
    site = simulation.site(workspace)
    apps = [one for one in site.workspace.apps if one.id in site.traffic]
    app_id = None if app in _ALL else _id_of("app", str(app), apps)
    segment_id = None if segment in _ALL else _id_of("segment", str(segment), site.segments.values())
    return site, key_of(Unit(unit), app_id, segment_id)


def read_series(simulation: Simulation, text: str) -> tuple[SimulatedWorkspace, SeriesKey]:
    """The series in `workspace/app/segment/unit`, where `-` is all apps or all users."""
    parts = text.split("/")
    if len(parts) != 4:
        raise ValueError(f"{text!r}: write WORKSPACE/APP/SEGMENT/UNIT, such as acme/ios/-/day (- is all)")
    return series_of(simulation, parts[0], parts[1], parts[2], parts[3])


def span_of_names(site: SimulatedWorkspace, unit: Unit, first: str | None, last: str | None, at: datetime) -> Span:
    """The buckets of the local dates `first` to `last`, both included; by default the 14 days up to `at`."""
    today = at.astimezone(site.zone).date()
    end = _date(last) if last else today
    begin = _date(first) if first else end - timedelta(days=_DEFAULT_DAYS - 1)
    if end < begin:
        raise ValueError(f"the span ends ({end}) before it begins ({begin})")
    # Nothing is told of the future, so a far end need not be walked to.
    begun = end_of_closed(unit, at, timedelta(0), site.zone) + 1
    return span_of_dates(unit, begin, end, site.zone) & Span(0, begun)


def expected_rows(
    simulation: Simulation, site: SimulatedWorkspace, key: SeriesKey, span: Span, at: datetime
) -> Iterator[tuple[str, int]]:
    """(label, sessions) of the buckets that the API would report at the instant."""
    return (
        (format_bucket(key.unit, bucket), count) for bucket, count in truth_rows(simulation, site.name, key, span, at)
    )


def bucket_at(unit: Unit, text: str) -> int:
    """The bucket that a label names: `2026-11-01`, or `2026-11-01T05:00:00Z`."""
    if unit is Unit.DAY:
        return day_number(_date(text))
    hours = hours_of(read_instant(text.replace(" ", "+")))
    if not hours.is_integer():
        raise ValueError(f"{text!r} is not on the hour")
    return int(hours)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date: write it as 2026-11-01") from None


def _id_of(what: str, name: str, things: Iterable[App] | Iterable[Segment]) -> str:
    known: list[App | Segment] = list(things)
    for thing in known:
        if name in (thing.name, thing.id):
            return thing.id
    raise ValueError(f"no {what} is called {name!r}; there are: {', '.join(thing.name for thing in known) or 'none'}")


CONTROL_PREFIX: Final = "/_simulator/"


class Control:
    """Answers the control endpoints of one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._actions: dict[tuple[str, str], Callable[[Mapping[str, str]], dict[str, Any]]] = {
            ("GET", "now"): self._tell_now,
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
        """Status and JSON body. A mistake in the query is a 400 that says what to write."""
        action = self._actions.get((method, path.removeprefix(CONTROL_PREFIX)))
        if action is None:
            known = ", ".join(f"{verb} {CONTROL_PREFIX}{name}" for verb, name in self._actions)
            return 404, orjson.dumps({"message": f"no such control endpoint; there are: {known}"})
        try:
            return 200, orjson.dumps(action(query))
        except KeyError as error:
            return 400, orjson.dumps({"message": f"write {error.args[0]}=… in the query"})
        except ValueError as error:
            return 400, orjson.dumps({"message": str(error)})

    def _tell_now(self, _query: Mapping[str, str]) -> dict[str, Any]:
        return {"now": self._simulation.now.isoformat()}

    def _move_now(self, query: Mapping[str, str]) -> dict[str, Any]:
        self._simulation.now = None if query["at"] == "real" else _read_instant(query["at"])
        return self._tell_now(query)

    def _truth(self, query: Mapping[str, str]) -> dict[str, Any]:
        simulation = self._simulation
        site, key = series_of(
            simulation, query["workspace"], query.get("app"), query.get("segment"), query.get("unit", "day")
        )
        at = _read_instant(query["at"]) if "at" in query else simulation.now
        span = span_of_names(site, key.unit, query.get("from"), query.get("to"), at)
        rows = [{"bucket": name, "sessions": count} for name, count in expected_rows(simulation, site, key, span, at)]
        return {"at": at.isoformat(), "rows": rows}

    def _stats(self, _query: Mapping[str, str]) -> dict[str, Any]:
        tally, sites = self._simulation.tally, self._simulation.sites.values()
        return {
            "requests": tally.requests,
            "by_status": dict(tally.by_outcome),
            "by_workspace": dict(tally.by_workspace),
            "busiest_second": tally.busiest_second,
            "most_in_flight": tally.most_in_flight,
            "pool_remaining": {site.name: site.pool.remaining for site in sites},
        }

    def _clear_stats(self, query: Mapping[str, str]) -> dict[str, Any]:
        self._simulation.tally.clear()
        return self._stats(query)

    def _requests(self, _query: Mapping[str, str]) -> dict[str, Any]:
        asked = self._simulation.tally.asked
        return {
            "requests": [
                {
                    "workspace": one.workspace,
                    "path": one.path,
                    "parameters": dict(one.parameters),
                    "outcome": one.outcome,
                }
                for one in list(asked)
            ]
        }

    def _spend(self, query: Mapping[str, str]) -> dict[str, Any]:
        site = series_of(self._simulation, query["workspace"], None, None, "day")[0]
        site.pool.spend(_whole("requests", query["requests"]))
        return {"remaining": site.pool.remaining}

    def _refill(self, query: Mapping[str, str]) -> dict[str, Any]:
        site = series_of(self._simulation, query["workspace"], None, None, "day")[0]
        site.pool.refill()
        return {"remaining": site.pool.remaining}

    def _restate(self, query: Mapping[str, str]) -> dict[str, Any]:
        site, key = series_of(
            self._simulation, query["workspace"], query.get("app"), query.get("segment"), query.get("unit", "day")
        )
        bucket = bucket_at(key.unit, query["bucket"])
        self._simulation.restate(site.name, key, {bucket: _whole("sessions", query["sessions"])})
        return {"bucket": query["bucket"], "sessions": int(query["sessions"]), "by": Unit(key.unit)}

    def _faults(self, query: Mapping[str, str]) -> dict[str, Any]:
        rates = parse_rates(query["rates"])
        first = _whole("first_attempts", query["first_attempts"]) if "first_attempts" in query else None
        old = self._simulation.faults
        self._simulation.faults = Faults(rates, first, old.retry_after_seconds, old.slow_seconds)
        return {"rates": {fault.value: rate for fault, rate in rates.items()}, "first_attempts": first}


def _read_instant(text: str) -> datetime:
    # An unencoded + has arrived as a space.
    return read_instant(text.replace(" ", "+"))


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text)
