"""Servers that send replies late, close connections and refuse requests, each from its own seed.

`python -m tests.reliability.late_replies --servers 20`; one: `--seed 17`. No count may be another series', and nine
tenths of the windows must be answered.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time

from collector.model import Answered
from tests.support.late_server import Connection, LateServer, fetch_from, message, wrong_windows

WINDOWS = 400
INSTEAD = [message(503), message(500), message(202), message(408), message(200), message(200, b"<html>")]


def make_server(seed: int) -> LateServer:
    """A server that mostly answers: how often it does not, and what it does then, is drawn."""
    chance = random.Random(seed)  # noqa: S311
    share, most_late, closes = chance.uniform(0.02, 0.2), chance.uniform(0.0, 0.4), chance.random() < 0.2

    async def behave(server: LateServer, connection: Connection, reply: bytes) -> bool:
        if chance.random() < share:
            connection.write(chance.choice(INSTEAD))
            server.send_later(connection, reply, chance.uniform(0.0, most_late))
        else:
            await asyncio.sleep(chance.uniform(0.0, 0.02))
            connection.write(reply)
        return not (closes and chance.random() < 0.5)

    if chance.random() < 0.5:
        return LateServer(behave)
    return LateServer(behave, idle=chance.choice([b"", message(408)]), idle_seconds=chance.uniform(0.001, 0.05))


def soak(seed: int) -> str:
    """Fetch from one server. Empty, or what is wrong."""
    outcomes = asyncio.run(fetch_from(make_server(seed), WINDOWS))
    wrong, answered = len(wrong_windows(outcomes)), sum(isinstance(outcome, Answered) for outcome in outcomes)
    if wrong or answered < 0.9 * WINDOWS:
        return f"{wrong} answers are another series', {answered} of {WINDOWS} windows were answered"
    return ""


def main() -> int:
    """Soak; prints each seed that failed and one line of figures. 1 if there was any."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.late_replies", description=__doc__)
    parser.add_argument("--servers", type=int, default=20, help="how many servers, about 2 s each")
    parser.add_argument("--seed", type=int, help="this one alone")
    arguments = parser.parse_args()
    seeds = range(arguments.servers) if arguments.seed is None else [arguments.seed]
    started, failed = time.monotonic(), 0
    for seed in seeds:
        if wrong := soak(seed):
            failed += 1
            sys.stdout.write(f"FAILED seed {seed}: {wrong}\n")
    sys.stdout.write(f"{len(seeds)} servers, {failed} failed, {time.monotonic() - started:.0f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
