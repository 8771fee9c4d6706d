"""Many months, each from its own seed, on all cores: `python -m tests.simulation.soak --seeds 50`; one: `--seed 17`."""

from __future__ import annotations

import argparse
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial

from tests.simulation.month import NIGHTS, Counts, play
from tests.simulation.reading import Violation


def main() -> int:
    """Play; print what failed and one line of counts. 1 if a promise was broken."""
    arguments = _arguments()
    counts = Counts()
    if arguments.seed is not None:
        counts += play(arguments.seed, arguments.nights)
    else:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        with ProcessPoolExecutor() as processes:
            for month in processes.map(partial(_played, nights=arguments.nights), seeds, chunksize=10):
                counts += month
    totals = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in asdict(counts).items())
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    _say(f"simulation: {totals}; {sum(one.ru_utime + one.ru_stime for one in used):.0f} s of processors")
    return 1 if counts.failures else 0


def _played(seed: int, nights: int) -> Counts:
    """A month; one that fails is printed, and counts as a failure."""
    try:
        return play(seed, nights)
    except Violation as violation:
        _say(f"FAILED {violation}\n  replay: python -m tests.simulation.soak --seed {seed} --nights {nights}")
        return Counts(failures=1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many months")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one alone, and show where it failing_writes")
    parser.add_argument("--nights", type=int, default=NIGHTS, help="nights in a month")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
