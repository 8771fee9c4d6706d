"""Requests a second, side by side on one server: the bare loop, the collector, the peers; in turn, round after round.

A peer's start-up does not count: each round also has a run with a tenth of the requests, and the difference of the two
medians gives the rate without start-up. The bare loop and the collector also report their own seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.bench import machine, programs
from scripts.bench.figures import MIB, Figure, keep, table
from scripts.bench.servers import constant
from scripts.bench.workload import SEGMENTS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from scripts.bench.programs import Measured, Program


@dataclass(slots=True)
class Rounds:
    """All runs of a program at one number of requests."""

    program: Program
    requests: int
    runs: list[Measured] = field(default_factory=list)

    @property
    def seconds(self) -> Figure:
        """Of the whole process."""
        return Figure(tuple(run.cost.seconds for run in self.runs))

    @property
    def cpu(self) -> Figure:
        """Processor seconds of the whole process."""
        return Figure(tuple(run.cost.cpu_seconds for run in self.runs))

    @property
    def own_rate(self) -> Figure | None:
        """Requests a second by the program's own clock, if it reports one."""
        own = tuple(self.requests / run.own_seconds for run in self.runs if run.own_seconds)
        return Figure(own) if own else None

    def figures(self) -> dict[str, Any]:
        """For the results."""
        return {
            "name": self.program.name,
            "does": self.program.does,
            "requests": self.requests,
            "whole_seconds": list(self.seconds.values),
            "own_rates": list(self.own_rate.values) if self.own_rate else [],
            "cpu_seconds": [run.cost.cpu_seconds for run in self.runs],
            "peak_rss": [run.cost.peak_rss for run in self.runs],
        }


def main(arguments: argparse.Namespace) -> None:
    """Measure, print and keep."""
    many = [programs.bare(), programs.this()]
    everyone = [*many, *([] if arguments.alone else programs.peers())]
    sizes = [(arguments.requests, everyone), (_tenth(arguments.requests), everyone), (arguments.many, many)]
    groups = [[Rounds(one, requests) for one in who] for requests, who in sizes if requests]
    started = machine.load()
    with constant(arguments.many or arguments.requests) as server:
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}, load {machine.load():.1f}", flush=True)
            for rounds in (rounds for group in groups for rounds in group):
                rounds.runs.append(rounds.program.run(server.url, rounds.requests))
    whole, tenth, *rest = groups
    figures = [rounds.figures() for group in groups for rounds in group]
    keep("throughput", {"server": server.name, "load_at_the_start": started, "figures": figures})
    print(f"\nserver: {server.name}\n\n{_whole(whole, tenth)}\n")
    pairs = [whole[:2], *rest]
    print("\n\n".join(_own(pair) for pair in pairs))
    print(_cpu(tenth[:2], pairs[-1]))


def _tenth(requests: int) -> int:
    return max(SEGMENTS, requests // 10 // SEGMENTS * SEGMENTS)


def _whole(full: Sequence[Rounds], part: Sequence[Rounds]) -> str:
    """Everyone's costs, start-up included, and the pace without it."""
    head = ["", "seconds, start-up included", "requests a second without start-up", "CPU s", "peak MiB", "pace, ours ="]
    paces = [_pace(one, other) for one, other in zip(full, part, strict=True)]
    rows = [
        [
            rounds.program.name,
            rounds.seconds.text(2),
            f"{pace:,.0f}",
            rounds.cpu.text(2),
            Figure(tuple(run.cost.peak_rss / MIB for run in rounds.runs)).text(),
            f"{paces[1] / pace:.2f} times",
        ]
        for rounds, pace in zip(full, paces, strict=True)
    ]
    return f"{full[0].requests:,} requests, medians (least–most)\n\n{table(head, rows)}"  # noqa: RUF001  # a range


def _pace(full: Rounds, part: Rounds) -> float:
    """Requests a second once started: what the full number took more than the part did."""
    return (full.requests - part.requests) / (full.seconds.middle - part.seconds.middle)


def _own(pair: Sequence[Rounds]) -> str:
    """The collector beside the limit, each by its own clock."""
    limit, ours = (rounds.own_rate for rounds in pair)
    if limit is None or ours is None:
        raise ValueError("both tell their own seconds")
    shares = Figure(tuple(100 * one / other for one, other in zip(ours.values, limit.values, strict=True)))
    return (
        f"{pair[0].requests:,} requests, by their own clocks: bare {limit.text()} a second, collector {ours.text()}; "
        f"of the bare loop in the same round: {shares.text(1)} per cent"
    )


def _cpu(few: Sequence[Rounds], many: Sequence[Rounds]) -> str:
    """Milliseconds of processor time a request once started, which others on the machine disturb least."""
    limit, ours = (
        1000 * (more.cpu.middle - less.cpu.middle) / (more.requests - less.requests)
        for less, more in zip(few, many, strict=True)
    )
    share = 100 * limit / ours
    return f"\nprocessor time a request: bare {limit:.3f} ms, collector {ours:.3f} ms: {share:.1f} per cent"
