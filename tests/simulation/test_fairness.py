"""A small workspace beside a huge backfill, in virtual time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random

import pytest

from collector.config.settings import App, Config, RateLimit, Secret, Workspace
from collector.environment import RunOptions
from collector.model import Unit
from collector.simulator.options import NEVER_LATE, Options
from collector.simulator.simulation import Simulation
from tests.simulation.memory_store import Disk
from tests.simulation.one_run import OneRun, SimulatedClock, perform
from tests.simulation.simulated_braze import Network, SimulatedBraze
from tests.support.builders import make_workspace

_AT = datetime(2026, 11, 20, 3, tzinfo=UTC)
_WIDE = RateLimit(per_hour=1_000_000, reserve=0.0, per_second=100.0)


@pytest.mark.parametrize("connections", [4, 40])
def test_ten_windows_beside_a_backfill(connections: int) -> None:
    """They are answered within twice their time alone plus a second, however many connections there are."""
    small = _workspace("small", 10, Unit.DAY, date(2026, 11, 1))
    big = _workspace("big", 12, Unit.HOUR, date(2026, 9, 1))
    alone, windows = _seconds(connections, small)
    beside, more = _seconds(connections, small, big)
    assert (windows, more > 20 * windows) == (10, True)
    assert beside <= 2 * alone + 1


def _workspace(name: str, apps: int, unit: Unit, start: date) -> Workspace:
    return make_workspace(
        name=name,
        api_key=Secret(f"key-of-{name}"),
        apps=tuple(App(f"app{number}", f"{name}-{number}") for number in range(apps)),
        units=(unit,),
        start=start,
        rate_limit=_WIDE,
        concurrency=32,
    )


def _seconds(connections: int, *workspaces: Workspace) -> tuple[float, int]:
    """When the last window of the first workspace was answered, and how many windows there were in all."""
    clock = SimulatedClock(_AT)
    simulation = Simulation(workspaces, Options(late=NEVER_LATE), clock=clock)
    one_run = OneRun(
        Config("memory", workspaces),
        RunOptions("20261120T030000Z-000000", _AT),
        _AT,
        network=Network(latency=2.0),
        connections=connections,
    )
    braze = SimulatedBraze(simulation, one_run.process, one_run.network, Random(7))  # noqa: S311 - chance, no secrets
    result = perform(one_run, Disk(published=lambda path, content: None), braze, clock)  # noqa: ARG005
    assert result.summary is not None
    assert result.summary.exit_code == 0
    answered = [answer.at for (name, _, _), answer in braze.answers.items() if name == workspaces[0].name]
    return max(answered), len(braze.answers)
