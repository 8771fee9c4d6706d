"""Many months, each from its own seed: `python -m tests.simulation.soak --seeds 5000`, or one: `--seed 17`."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict

from tests.simulation.month import NIGHTS, Counts, play
from tests.simulation.reading import Violation


def main() -> int:
    """Play; print what failed and one line of counts. 1 where a promise was broken."""
    told = _arguments()
    counts, began = Counts(), time.perf_counter()
    for seed in [told.seed] if told.seed is not None else range(told.first, told.first + told.seeds):
        try:
            counts += play(seed, told.nights)
        except Violation as violation:
            counts.failures += 1
            _say(f"FAILED {violation}\n  replay: python -m tests.simulation.soak --seed {seed} --nights {told.nights}")
            if told.seed is not None:
                raise
    counts_told = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in asdict(counts).items())
    _say(f"simulation: {counts_told}; {time.perf_counter() - began:.1f} s, {time.process_time():.1f} s of one core")
    return 1 if counts.failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many months")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one alone, and show where it fails")
    parser.add_argument("--nights", type=int, default=NIGHTS, help="nights in a month")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
