"""The API's rules: what is answered to a request, with which status and headers. No socket is touched here.

In: path, parameters, Authorization header. Out: a `Reply`, whose `wire` says whether it reaches the client whole.
The order of the rules: path, key, permission, pool, injected fault, parameters, answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

import orjson

from collector.simulator.answers import BadRequest, BodyCache, apply_fault, parse_query, points
from collector.simulator.options import Fault
from collector.simulator.sites import LoggedRequest, Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.simulator.simulation import Simulation
    from collector.simulator.sites import SimulatedWorkspace

SERIES_PATH: Final = "/sessions/data_series"
SEGMENTS_PATH: Final = "/segments/list"
_SEGMENTS_A_PAGE = 100
_EMPTY_LIMITS = {"x-ratelimit-limit": "", "x-ratelimit-remaining": "", "x-ratelimit-reset": ""}
_BEARER = "Bearer "
_JSON = "application/json"
_HTML = "text/html"


class Delivery(Enum):
    """How a reply reaches the client: whole, cut short of its Content-Length, or not at all."""

    WHOLE = "whole"
    CUT = "cut"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. `authorization` is the header's text; `parameters` may hold `api_key`."""

    method: str
    path: str
    parameters: Mapping[str, str]
    authorization: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back, after `delay_seconds`."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    content_type: str = _JSON
    wire: Delivery = Delivery.WHOLE
    delay_seconds: float = 0.0


class Endpoint:
    """Answers requests for one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._bodies = BodyCache()

    def answer(self, request: Request) -> Reply:
        """The reply to a request; it is counted, and paid for from the pool where its key is good."""
        key = _key_in(request)
        site = self._simulation.sites.get(key)
        asked = tuple(sorted((name, text) for name, text in request.parameters.items() if name != "api_key"))
        reply = self._reply(request, key, site, asked)
        outcome = str(reply.status) if reply.wire is Delivery.WHOLE else reply.wire.value
        self._simulation.tally.settle(LoggedRequest(site.name if site else None, request.path, asked, outcome))
        return reply

    def _reply(self, request: Request, key: str, site: SimulatedWorkspace | None, asked: Parameters) -> Reply:
        if request.path not in (SERIES_PATH, SEGMENTS_PATH):
            return _told(404, f"No such path: {request.path}", {})
        if request.method != "GET":
            return _told(405, f"{request.method} is not allowed here", {"allow": "GET"})
        if site is None:
            return _told(401, f"Invalid API key: {key}", _EMPTY_LIMITS)
        if site.denied:
            return _told(403, "The API key has no permission for this endpoint", _EMPTY_LIMITS)
        if not site.pool.take():
            wait = self._simulation.options.pool.retry_after_seconds
            return _told(429, "Rate limit exceeded", site.pool.headers() | _retry_after(wait))
        if request.path == SEGMENTS_PATH:
            return self._segments(request.parameters, site)
        fault = self._simulation.draw.draw((site.name, asked))
        if fault in _STATUS_FAULTS:
            return self._failure(fault, site)
        return self._series(request.parameters, site, fault)

    def _series(self, parameters: Mapping[str, str], site: SimulatedWorkspace, fault: Fault | None) -> Reply:
        simulation = self._simulation
        at = simulation.now
        question = parse_query(parameters, site, at, simulation.options.boundary)
        if isinstance(question, BadRequest):
            return _told(400, question.message, site.pool.headers())
        if fault in _WIRE_FAULTS or fault is None:
            reply = Reply(200, self._bodies.body(simulation, site, question, at), site.pool.headers())
            return self._on_the_wire(reply, fault) if fault else reply
        body = apply_fault(fault, points(simulation, site, question, at), simulation, site, question)
        return Reply(200, body, site.pool.headers())

    def _on_the_wire(self, reply: Reply, fault: Fault) -> Reply:
        if fault is Fault.SLOW:
            return replace(reply, delay_seconds=self._simulation.faults.slow_seconds)
        if fault is Fault.TRUNCATED:
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        return replace(reply, wire=Delivery.CUT if fault is Fault.CUT else Delivery.RESET)

    def _failure(self, fault: Fault, site: SimulatedWorkspace) -> Reply:
        limits = site.pool.headers()
        match fault:
            case Fault.UNAVAILABLE:
                return Reply(503, b"<html><body><h1>503 Service Unavailable</h1></body></html>", limits, _HTML)
            case Fault.TOO_MANY:
                wait = _retry_after(self._simulation.faults.retry_after_seconds)
                return _told(429, "Rate limit exceeded", limits | wait)
            case Fault.QUEUED:
                return _told(202, "queued", limits)
            case Fault.HTML:
                return Reply(200, b"<html><body>Signed out. Please log in.</body></html>", limits, _HTML)
            case _:
                return _told(500, "Internal server error", limits)

    def _segments(self, parameters: Mapping[str, str], site: SimulatedWorkspace) -> Reply:
        page = parameters.get("page", "0")
        if not (page.isascii() and page.isdigit() and len(page) < 10):
            return _told(400, "page must be an integer, 0 or more", site.pool.headers())
        first = int(page) * _SEGMENTS_A_PAGE
        listed = [
            {"id": segment.id, "name": segment.name, "analytics_tracking_enabled": segment.id not in site.untracked}
            for segment in list(site.segments.values())[first : first + _SEGMENTS_A_PAGE]
        ]
        return Reply(200, orjson.dumps({"message": "success", "segments": listed}), site.pool.headers())


_STATUS_FAULTS = (Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.TOO_MANY, Fault.QUEUED, Fault.HTML)
_WIRE_FAULTS = (Fault.SLOW, Fault.TRUNCATED, Fault.CUT, Fault.RESET)


def _key_in(request: Request) -> str:
    if request.authorization is not None:
        return request.authorization.removeprefix(_BEARER)
    return request.parameters.get("api_key", "")


def _told(status: int, message: str, headers: Mapping[str, str]) -> Reply:
    return Reply(status, orjson.dumps({"message": message}), headers)


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"retry-after": str(seconds)}
