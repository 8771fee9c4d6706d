"""The control endpoints under `/_simulator/`: move the clock, read the truth, see what was asked. No key, no pool.

In: method, path, query. Out: a status and JSON. For people with curl and for tests in other processes; tests in this
process use the `Simulation` itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.model import Unit
from collector.simulator.faults import Faults, parse_rates
from collector.simulator.questions import read_instant
from collector.simulator.truth import bucket_at, named_span, series_of, truth_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from collector.simulator.simulation import Simulation

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
        self._simulation.now = None if query["at"] == "real" else _instant(query["at"])
        return self._tell_now(query)

    def _truth(self, query: Mapping[str, str]) -> dict[str, Any]:
        simulation = self._simulation
        site, key = series_of(
            simulation, query["workspace"], query.get("app"), query.get("segment"), query.get("unit", "day")
        )
        at = _instant(query["at"]) if "at" in query else simulation.now
        span = named_span(site, key.unit, query.get("from"), query.get("to"), at)
        rows = [{"bucket": name, "sessions": count} for name, count in truth_lines(simulation, site, key, span, at)]
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


def _instant(text: str) -> datetime:
    # An unencoded + has arrived as a space.
    return read_instant(text.replace(" ", "+"))


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text)
