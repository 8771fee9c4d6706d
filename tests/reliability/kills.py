"""Runs that are killed at random, each lake from one seed. `python -m tests.reliability.kills --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from random import Random

from tests.support.crash_test import SMALL_LIMITS, CrashPlan, CrashTest

DEATHS = 8
"""Runs that may be killed on one lake, one after the other."""


def crash_repeatedly(folder: Path, seed: int, deaths: int = DEATHS) -> int:
    """A night, runs that are killed while the API's counts change, and two that are not. Returns the kills."""
    chance = Random(seed)  # noqa: S311  # repeatable, not secret
    crash_test = CrashTest(folder, seed, latency_ms=(1, 60))
    with crash_test.served():
        crash_test.run()
        for _ in range(deaths):
            crash_test.wait(hours=chance.choice((1, 7, 24)))
            crash_test.change(chance)
            crash_test.run_crashing(_draw_crash(chance))
            crash_test.ledger.check_readable()
        crash_test.change(chance)
        crash_test.run()
        crash_test.check_lake()
        crash_test.wait(hours=7)
        crash_test.run()
        crash_test.check_lake(converged=True)
    return crash_test.killed


def _draw_crash(chance: Random) -> CrashPlan:
    """A crash at any step, at one that others see, in the middle of a write, or at any instant from outside."""
    limits = SMALL_LIMITS if chance.random() < 0.5 else {}
    match chance.randrange(4):
        case 0:
            return CrashPlan(at=chance.randint(1, 100), limits=limits)
        case 1:
            return CrashPlan(at=chance.randint(1, 20), effects=("rename", "remove"), limits=limits)
        case 2:
            return CrashPlan(at=chance.randint(1, 15), effects=("write",), limits=limits)
    return CrashPlan(after=chance.uniform(0, 0.7), limits=limits)


def main() -> None:
    """Kill a number of runs, or replay one seed; report each lake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="at least this many [default: 200]")
    parser.add_argument("--first-seed", type=int, default=int(time.time()), help="[default: from the clock]")
    parser.add_argument("--seed", type=int, help="replay this seed alone")
    arguments = parser.parse_args()
    began, killed, lakes = time.monotonic(), 0, 0
    for seed in [arguments.seed] if arguments.seed is not None else count(arguments.first_seed):
        killed += _crash_or_name(seed)
        lakes += 1
        say(f"seed {seed}: {killed} runs killed so far, on {lakes} lakes; nothing lost")
        if killed >= arguments.kills:
            break
    say(f"kills={killed} lakes={lakes} lost=0 seconds={time.monotonic() - began:.0f}")


def _crash_or_name(seed: int) -> int:
    """The number of kills; a seed that fails is printed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return crash_repeatedly(Path(folder), seed)
        except BaseException:
            say(f"seed {seed} failed; again: python -m tests.reliability.kills --seed {seed}")
            raise


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
