"""The bench's command line."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from scripts.bench import machine

PARTS = {
    "throughput": "requests a second, beside the bare loop and other tools",
    "memory": "peak and curve of long runs",
    "pacing": "how much of the permitted rate is used, and that it is not exceeded",
    "history": "the cost of a night on a lake of three years and of one month",
    "backfill": "bytes written over bytes of the lake",
    "width": "the same windows in one workspace, in a hundred, in a thousand",
    "age": "thirty nights of restatements",
    "budget": "where a request's processor time goes",
    "startup": "--help, validate, and planning 10,000 series",
    "charts": "draw the saved figures into docs/charts/",
}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    commands = parser.add_subparsers(dest="part", required=True)
    parsers = {name: commands.add_parser(name, help=text) for name, text in PARTS.items()}
    _options(parsers)
    arguments = parser.parse_args()
    machine.stay_off_the_client_core()
    import_module(f"scripts.bench.{arguments.part}").main(arguments)


def _options(parsers: dict[str, argparse.ArgumentParser]) -> None:
    throughput = parsers["throughput"]
    throughput.add_argument("--requests", type=int, default=2000, help="for each program, a multiple of 250")
    throughput.add_argument("--many", type=int, default=10_000, help="for bare loop and collector only; 0: skip")
    throughput.add_argument("--rounds", type=int, default=3)
    throughput.add_argument("--alone", action="store_true", help="without the peers")
    parsers["memory"].add_argument("--requests", type=int, nargs="+", default=[25_000, 250_000])
    pacing = parsers["pacing"]
    pacing.add_argument("--rates", type=int, nargs="+", default=[70, 500], help="requests a second")
    pacing.add_argument("--seconds", type=int, default=30, help="duration of each measurement")
    pacing.add_argument("--rounds", type=int, default=3)
    history = parsers["history"]
    history.add_argument("--apps", type=int, default=50)
    history.add_argument("--segments", type=int, default=25, help="per app, besides all users")
    history.add_argument("--days", type=int, nargs=2, default=[31, 1096], help="lengths of the compared lakes")
    history.add_argument("--nights", type=int, default=3)
    backfill = parsers["backfill"]
    backfill.add_argument("--sizes", nargs="+", default=["2x2x90", "10x5x365", "20x25x365"], help="APPSxSEGMENTSxDAYS")
    backfill.add_argument("--rate", type=int, default=0, help="requests a second; 0: no limit")
    sizes = ["1x10", "100x10", "1000x10", "1x3000", "300x10", "1x10000"]
    parsers["width"].add_argument("--sizes", nargs="+", default=sizes, help="WORKSPACESxWINDOWS")
    parsers["width"].add_argument("--rounds", type=int, default=1, help="runs of each size; the cheapest is shown")
    parsers["age"].add_argument("--apps", type=int, default=50, help="26 series each, of which 420 hours are restated")
    parsers["age"].add_argument("--nights", type=int, default=30)
    for name in ("width", "age"):
        parsers[name].add_argument(
            "--against", type=Path, metavar="CHECKOUT", help="measure another checkout, with its own .venv, too"
        )
    parsers["budget"].add_argument("--requests", type=int, default=10_000)
    backfill.add_argument("--journal-kib", type=int, default=0, help="land the journal at this size; 0: at 64 MiB")
    parsers["budget"].add_argument("--rounds", type=int, default=3)
    parsers["startup"].add_argument("--rounds", type=int, default=10)


if __name__ == "__main__":
    main()
