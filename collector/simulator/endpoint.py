"""The rules of the API: which status, headers and body a request gets. It touches no socket.

In: path, parameters, Authorization header. Out: a `Reply`, whose `delivery` says whether the client gets all of it.
The rules apply in this order: path, key, permission, quota, injected fault, parameters, answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

import orjson

from collector.metrics import DEFAULT_METRICS, METRICS, SHARED
from collector.simulator.answers import BadRequest, BodyCache, apply_fault, parse_query, points_of
from collector.simulator.options import Fault
from collector.simulator.sites import LoggedRequest, Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.metrics import Metric
    from collector.simulator.simulation import Simulation
    from collector.simulator.sites import SimulatedWorkspace

SERIES: Final = {metric.path: metric for metric in METRICS.values()}
"""The metric of each path of a series."""
SEGMENTS_PATH: Final = "/segments/list"
_SEGMENTS_A_PAGE = 100
_EMPTY_LIMITS = {"x-ratelimit-limit": "", "x-ratelimit-remaining": "", "x-ratelimit-reset": ""}
_BEARER = "Bearer "
_JSON = "application/json"
_HTML = "text/html"


class Delivery(Enum):
    """How much of a reply the client gets: all of it, less than its Content-Length, or nothing."""

    COMPLETE = "complete"
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
    """What the server sends, after `delay_seconds`."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    content_type: str = _JSON
    delivery: Delivery = Delivery.COMPLETE
    delay_seconds: float = 0.0


class Endpoint:
    """Answers requests for one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._bodies = BodyCache()

    def answer(self, request: Request) -> Reply:
        """The reply to a request. The request is logged and, if its key is valid, spent from the quota."""
        key = _key_in(request)
        workspace = self._simulation.workspaces.get(key)
        parameters = tuple(sorted((name, text) for name, text in request.parameters.items() if name != "api_key"))
        reply = self._reply(request, key, workspace, parameters)
        outcome = str(reply.status) if reply.delivery is Delivery.COMPLETE else reply.delivery.value
        name = workspace.name if workspace else None
        self._simulation.request_log.record(LoggedRequest(name, request.path, parameters, outcome))
        return reply

    def _reply(self, request: Request, key: str, workspace: SimulatedWorkspace | None, parameters: Parameters) -> Reply:
        metric = SERIES.get(request.path)
        if metric is None and request.path != SEGMENTS_PATH:
            return _message(404, f"No such path: {request.path}", {})
        if request.method != "GET":
            return _message(405, f"{request.method} is not allowed here", {"allow": "GET"})
        if workspace is None:
            return _message(401, f"Invalid API key: {key}", _EMPTY_LIMITS)
        if metric.name in workspace.denied if metric else len(workspace.denied) == len(METRICS):
            return _message(403, "The API key has no permission for this endpoint", _EMPTY_LIMITS)
        quota = workspace.quotas[(metric.quota if metric else SHARED).name]
        if not quota.take():
            wait = self._simulation.options.pool.retry_after_seconds
            return _message(429, "Rate limit exceeded", quota.headers() | _retry_after(wait))
        if metric is None:
            return self._segments(request.parameters, workspace)
        fault = self._simulation.fault_draw.draw((workspace.name, parameters, *_more_than_sessions(metric)))
        if fault in _STATUS_FAULTS:
            return self._failure(fault, quota.headers())
        return self._series(request.parameters, workspace, metric, fault)

    def _series(
        self, parameters: Mapping[str, str], workspace: SimulatedWorkspace, metric: Metric, fault: Fault | None
    ) -> Reply:
        simulation = self._simulation
        at, limits = simulation.now, workspace.quotas[metric.quota.name].headers()
        query = parse_query(parameters, workspace, at, simulation.options.boundary, metric)
        if isinstance(query, BadRequest):
            return _message(400, query.message, limits)
        if fault in _DELIVERY_FAULTS or fault is None:
            reply = Reply(200, self._bodies.body(simulation, workspace, query, at), limits)
            return self._with_delivery_fault(reply, fault) if fault else reply
        body = apply_fault(fault, points_of(simulation, workspace, query, at), simulation, workspace, query)
        return Reply(200, body, limits)

    def _with_delivery_fault(self, reply: Reply, fault: Fault) -> Reply:
        if fault is Fault.SLOW:
            return replace(reply, delay_seconds=self._simulation.faults.slow_seconds)
        if fault is Fault.TRUNCATED:
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        return replace(reply, delivery=Delivery.CUT if fault is Fault.CUT else Delivery.RESET)

    def _failure(self, fault: Fault, limits: Mapping[str, str]) -> Reply:
        match fault:
            case Fault.UNAVAILABLE:
                return Reply(503, b"<html><body><h1>503 Service Unavailable</h1></body></html>", limits, _HTML)
            case Fault.TOO_MANY:
                wait = _retry_after(self._simulation.faults.retry_after_seconds)
                return _message(429, "Rate limit exceeded", {**limits, **wait})
            case Fault.QUEUED:
                return _message(202, "queued", limits)
            case Fault.HTML:
                return Reply(200, b"<html><body>Signed out. Please log in.</body></html>", limits, _HTML)
            case _:
                return _message(500, "Internal server error", limits)

    def _segments(self, parameters: Mapping[str, str], workspace: SimulatedWorkspace) -> Reply:
        page = parameters.get("page", "0")
        if not (page.isascii() and page.isdigit() and len(page) < 10):
            return _message(400, "page must be an integer, 0 or more", workspace.quota.headers())
        first = int(page) * _SEGMENTS_A_PAGE
        segments = [
            {
                "id": segment.id,
                "name": segment.name,
                "analytics_tracking_enabled": segment.id not in workspace.untracked,
            }
            for segment in list(workspace.segments.values())[first : first + _SEGMENTS_A_PAGE]
        ]
        return Reply(200, orjson.dumps({"message": "success", "segments": segments}), workspace.quota.headers())


def _more_than_sessions(metric: Metric) -> tuple[str, ...]:
    """What else tells requests apart. Nothing where sessions are counted, so that their faults stay as they were."""
    return () if metric.name in DEFAULT_METRICS else (metric.name,)


_STATUS_FAULTS = (Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.TOO_MANY, Fault.QUEUED, Fault.HTML)
_DELIVERY_FAULTS = (Fault.SLOW, Fault.TRUNCATED, Fault.CUT, Fault.RESET)


def _key_in(request: Request) -> str:
    if request.authorization is not None:
        return request.authorization.removeprefix(_BEARER)
    return request.parameters.get("api_key", "")


def _message(status: int, message: str, headers: Mapping[str, str]) -> Reply:
    return Reply(status, orjson.dumps({"message": message}), headers)


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"retry-after": str(seconds)}
