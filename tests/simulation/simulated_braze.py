"""The stand-in without a socket: the API's rules and counts, with faults and other clients' requests from a seed.

It records each request and its answer; the lake is checked against them. `tests/support/virtual.py` has the other fake,
`VirtualBraze`: a small server with its own quota, so that the fetcher is not only checked against the stand-in.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import TYPE_CHECKING

from collector.api.errors import RetryableError
from collector.api.transport import Response
from collector.simulator.answers import BadRequest, parse_query
from collector.simulator.endpoint import Delivery, Endpoint, Reply, Request
from collector.simulator.options import NO_FAULTS, Fault, Faults
from tests.simulation.simulated_process import REQUEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from random import Random

    from collector.api.request import Request as ApiRequest
    from collector.model import SeriesKey, Span
    from collector.simulator.simulation import Simulation
    from collector.simulator.sites import SimulatedWorkspace
    from tests.simulation.simulated_process import SimulatedProcess

Points = list[tuple[int, float]]
RequestedWindow = tuple[str, "SeriesKey", "Span"]
"""A window as the API gets it: the workspace's name, the series, the buckets."""

_HARMLESS = (None, Fault.SLOW, Fault.REPEATED)
_NEED_POINTS = (Fault.FRACTIONAL, Fault.NEGATIVE, Fault.TEXT, Fault.OFF_BUCKET, Fault.CONFLICT)
"""Faults that change a point: an answer without points stays right."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer to a window: its points, or None without a valid answer; `at`: the virtual time in seconds.

    `date`: its Date, where it has one. `remaining`: of the quota.
    """

    points: Points | None
    at: float
    date: datetime | None = None
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A night's network: the share of requests that meet each fault, and other clients' requests for each of ours.

    `dates`: whether replies have a Date.
    """

    rates: Mapping[Fault, float] = field(default_factory=dict)
    others: int = 0
    latency: float = 0.2
    dates: bool = True


GOOD_NETWORK = Network()


class SimulatedBraze:
    """The `Transport` of one process."""

    def __init__(self, simulation: Simulation, process: SimulatedProcess, network: Network, rng: Random) -> None:
        self._simulation, self._process, self._network, self._rng = simulation, process, network, rng
        self._endpoint = Endpoint(simulation)
        self.answers: dict[RequestedWindow, Answer] = {}
        self.requests = 0

    async def get(self, request: ApiRequest) -> Response:
        """Answer as Braze would, unless the network fails."""
        self._process.effect(REQUEST)
        self.requests += 1
        authorization = request.headers.get("Authorization", "")
        site = self._simulation.workspaces[authorization.removeprefix("Bearer ")]
        question = Request("GET", request.url.path, request.url.query, authorization)
        window = self._window(question, site)
        self.answers[window] = Answer(None, _now())
        await asyncio.sleep(self._network.latency * self._rng.random())
        reply, points = self._answer(question, site, window)
        await asyncio.sleep(min(reply.delay_seconds, request.timeout_seconds))
        self._process.check_alive()
        if reply.delivery is not Delivery.COMPLETE or reply.delay_seconds >= request.timeout_seconds:
            raise RetryableError("no complete response came")
        date = self._simulation.now.replace(microsecond=0) if self._network.dates else None
        headers = {**reply.headers, "date": format_datetime(date, usegmt=True)} if date else reply.headers
        remaining = headers.get("x-ratelimit-remaining")
        self.answers[window] = Answer(points, _now(), date, None if remaining is None else int(remaining))
        return Response(reply.status, headers, reply.body)

    def _answer(
        self, question: Request, site: SimulatedWorkspace, window: RequestedWindow
    ) -> tuple[Reply, Points | None]:
        """The reply and its points, or None if it is not a valid answer."""
        self._process.check_alive()
        fault = self._fault()
        self._simulation.faults = Faults({fault: 1.0}) if fault else NO_FAULTS
        if self._network.others:
            site.quota.spend(self._rng.randrange(2 * self._network.others))
        reply = self._endpoint.answer(question)
        if reply.status != 200:
            return reply, None
        points = self._simulation.workspace_rows(site, window[1], window[2], self._simulation.now)
        right = fault in _HARMLESS or (fault is Fault.OUTSIDE and points) or (fault in _NEED_POINTS and not points)
        return reply, points if right else None

    def _window(self, request: Request, site: SimulatedWorkspace) -> RequestedWindow:
        simulation = self._simulation
        question = parse_query(request.parameters, site, simulation.now, simulation.options.boundary)
        if isinstance(question, BadRequest):
            raise TypeError(f"the API refuses the request: {question.message}")
        return site.name, question.key, question.span

    def _fault(self) -> Fault | None:
        left = self._rng.random()
        for fault, rate in self._network.rates.items():
            left -= rate
            if left < 0:
                return fault
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
