"""`make soak`: repeats tests many times with new seeds: runs that are killed, late replies, and simulated months.

Each part is a program that prints the seed of a failure and ends with a line of figures. The figures of all parts are
repeated in a table. Everything runs on this machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "runs killed": ("tests.reliability.kills", "--kills"),
    "late replies": ("tests.reliability.late_replies", "--servers"),
    "months simulated": ("tests.simulation.soak", "--seeds"),
}


def main() -> None:
    """Run the parts, one after the other; ends with the exit code of the first that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="runs to kill, about 1.5 s each [default: 200]")
    parser.add_argument("--servers", type=int, default=50, help="servers with late replies, 2 s each [default: 50]")
    parser.add_argument("--seeds", type=int, default=2000, help="months to simulate [default: 2000]")
    arguments = vars(parser.parse_args())
    started, rows, failed = time.monotonic(), [], 0
    for title, (module, option) in PARTS.items():
        code, figures = part(module, option, arguments[option.removeprefix("--")])
        rows.append((title, "failed" if code else "passed", figures))
        failed = failed or code
    print(f"\nsoaked for {time.monotonic() - started:.0f} s")
    for title, verdict, figures in rows:
        print(f"  {title:<18}{verdict:<8}{figures}")
    sys.exit(failed)


def part(module: str, option: str, count: int) -> tuple[int, str]:
    """Run a part and print its output; returns its exit code and last line."""
    print(f"== {module} {option} {count}", flush=True)
    last = ""
    command = [sys.executable, "-m", module, option, str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101  # for the types' sake
        for line in process.stdout:
            print(f"   {line}", end="", flush=True)
            last = line.strip() or last
    return process.returncode, last


if __name__ == "__main__":
    main()
