"""The stand-in asked directly: the API's rules and truth without a socket, with faults and others' spending by seed.

It keeps a ledger of what it was asked and told, which is what the lake is held against.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.api.errors import RetryableError
from collector.api.transport import Response
from collector.simulator.answers import BadRequest, parse_query
from collector.simulator.endpoint import Delivery, Endpoint, Reply, Request
from collector.simulator.options import NO_FAULTS, Fault, Faults
from tests.simulation.mortal import REQUEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from collector.api.request import Request as ApiRequest
    from collector.model import SeriesKey, Span
    from collector.simulator.simulation import Simulation
    from collector.simulator.sites import SimulatedWorkspace
    from tests.simulation.mortal import Mortal

Points = list[tuple[int, int]]
Asked = tuple[str, "SeriesKey", "Span"]
"""A window, as the API sees it: the workspace's name, the series, the buckets."""

_HARMLESS = (None, Fault.SLOW, Fault.REPEATED)
_NEED_POINTS = (Fault.FRACTIONAL, Fault.NEGATIVE, Fault.TEXT, Fault.OFF_BUCKET, Fault.CONFLICT)
"""Faults that spoil a point: an answer without any stays right."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of the last request for a window: its points, or None where no answer came; `at`: when."""

    points: Points | None
    at: float


@dataclass(frozen=True, slots=True)
class Weather:
    """What a night is like: the share of requests that meet each fault, and how many others send a request of ours."""

    rates: Mapping[Fault, float] = field(default_factory=dict)
    others: int = 0
    latency: float = 0.2


CALM = Weather()


class Braze:
    """`Transport` of one process."""

    def __init__(self, simulation: Simulation, process: Mortal, weather: Weather, rng: Random) -> None:
        self._simulation, self._process, self._weather, self._rng = simulation, process, weather, rng
        self._endpoint = Endpoint(simulation)
        self.ledger: dict[Asked, Told] = {}
        self.requests = 0

    async def get(self, request: ApiRequest) -> Response:
        """Answer as Braze would, if the network lets it."""
        self._process.effect(REQUEST)
        self.requests += 1
        authorization = request.headers.get("Authorization", "")
        site = self._simulation.workspaces[authorization.removeprefix("Bearer ")]
        question = Request("GET", request.url.path, request.url.query, authorization)
        asked = self._asked(question, site)
        self.ledger[asked] = Told(None, _now())
        await asyncio.sleep(self._weather.latency * self._rng.random())
        reply, points = self._answer(question, site, asked)
        await asyncio.sleep(min(reply.delay_seconds, request.timeout_seconds))
        self._process.breathe()
        if reply.delivery is not Delivery.COMPLETE or reply.delay_seconds >= request.timeout_seconds:
            raise RetryableError("no complete response came")
        self.ledger[asked] = Told(points, _now())
        return Response(reply.status, reply.headers, reply.body)

    def _answer(self, question: Request, site: SimulatedWorkspace, asked: Asked) -> tuple[Reply, Points | None]:
        """The reply, and what it tells, or None where it is no answer."""
        self._process.breathe()
        fault = self._fault()
        self._simulation.faults = Faults({fault: 1.0}) if fault else NO_FAULTS
        if self._weather.others:
            site.quota.spend(self._rng.randrange(2 * self._weather.others))
        reply = self._endpoint.answer(question)
        if reply.status != 200:
            return reply, None
        points = self._simulation.workspace_rows(site, asked[1], asked[2], self._simulation.now)
        right = fault in _HARMLESS or (fault is Fault.OUTSIDE and points) or (fault in _NEED_POINTS and not points)
        return reply, points if right else None

    def _asked(self, request: Request, site: SimulatedWorkspace) -> Asked:
        simulation = self._simulation
        question = parse_query(request.parameters, site, simulation.now, simulation.options.boundary)
        if isinstance(question, BadRequest):
            raise TypeError(f"the API refuses what was asked: {question.message}")
        return site.name, question.key, question.span

    def _fault(self) -> Fault | None:
        left = self._rng.random()
        for fault, rate in self._weather.rates.items():
            left -= rate
            if left < 0:
                return fault
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
