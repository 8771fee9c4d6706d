from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.reliability.kills import crash_repeatedly
from tests.support.crash_test import CrashPlan, CrashTest

if TYPE_CHECKING:
    from pathlib import Path

CHAINS = 3
SEEN = ("rename", "remove")
"""The steps that others see: each publishes or removes a file."""


@pytest.mark.parametrize("chain", range(CHAINS))
def test_a_run_killed_at_any_step_of_a_landing_is_finished_by_the_next(tmp_path: Path, chain: int) -> None:
    """SIGKILL before each rename and removal in turn, with restatements, across a month's end: nothing is lost.

    The API's counts change again before the next run; all tables are readable in between; no restatement is doubled.
    """
    crash_test, chance = CrashTest(tmp_path, scopes=["app_segment"]), Random(chain)  # noqa: S311
    with crash_test.served():
        crash_test.run()
        for step in range(1 + chain, 100, CHAINS):
            crash_test.wait(hours=7)
            crash_test.change(chance)
            end = crash_test.run_crashing(CrashPlan(at=step, effects=SEEN))
            crash_test.ledger.check_readable()
            if not end.killed:
                break
            crash_test.change(chance)
            assert crash_test.run().exit_code == 0
            crash_test.check_lake()
        assert end.exit_code == 0
        assert crash_test.killed >= 3
        crash_test.check_lake(converged=True)


def test_runs_killed_at_random_lose_nothing(tmp_path: Path) -> None:
    """Runs killed one after the other, at random instants or in a write, lose nothing. `make soak` kills hundreds."""
    assert crash_repeatedly(tmp_path, 1, deaths=3)
