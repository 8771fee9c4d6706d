from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.reliability.kills import suffer
from tests.reliability.ordeal import Ordeal, Plan

if TYPE_CHECKING:
    from pathlib import Path

CHAINS = 3
SEEN = ("rename", "remove")
"""The steps that others see: each puts a whole file in place, or takes one away."""


@pytest.mark.parametrize("chain", range(CHAINS))
def test_a_run_killed_at_any_step_of_a_landing_is_finished_by_the_next(tmp_path: Path, chain: int) -> None:
    """SIGKILL before each rename and removal in turn, restatements under way, over a month's end: nothing is lost.

    The API's counts change again before the next run; all tables read whole in between; each restatement is told once.
    """
    ordeal, chance = Ordeal(tmp_path, scopes=["app_segment"]), Random(chain)  # noqa: S311
    with ordeal.served():
        ordeal.run()
        for step in range(1 + chain, 100, CHAINS):
            ordeal.wait(hours=7)
            ordeal.change(chance)
            end = ordeal.run_doomed(Plan(at=step, effects=SEEN))
            ordeal.ledger.check_readable()
            if not end.killed:
                break
            ordeal.change(chance)
            assert ordeal.run().exit_code == 0
            ordeal.check_whole()
        assert end.exit_code == 0
        assert ordeal.killed >= 3
        ordeal.check_whole(converged=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_runs_killed_at_random_lose_nothing(tmp_path: Path, seed: int) -> None:
    """Runs that die one after the other, at random instants and in the middle of a write, leave a lake that is true."""
    assert suffer(tmp_path, seed, deaths=3)
