"""`make fuzz`: each target of `tests/fuzz` under a coverage-guided fuzzer, from the kept inputs on; then a table.

Of what it finds, the fewest inputs that reach all new branches are added to `tests/fuzz/corpus`. An input that breaks a
promise is left there too, under the name that is printed: `make test` fails until that is mended. To begin anew, remove
the files whose names are forty digits: those are the fuzzer's, the others were written by people.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "fuzz" / "corpus"


class Outcome(NamedTuple):
    """What came of one target: inputs tried, branches reached, and the files whose inputs broke a promise."""

    name: str
    tried: int
    reached: int
    broken: list[Path]


def main() -> None:
    """Fuzz each target in turn; ends with 1 where one broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target [default: 60]")
    parser.add_argument("targets", nargs="*", default=sorted(path.name for path in CORPUS.iterdir()))
    asked = parser.parse_args()
    outcomes = [fuzz(name, asked.seconds) for name in asked.targets]
    print(f"\n  {'target':<10}{'inputs tried':>14}{'branches':>10}{'kept':>6}")
    for name, tried, reached, broken in outcomes:
        verdict = "a promise is broken, see above" if broken else "as promised"
        print(f"  {name:<10}{tried:>14,}{reached:>10,}{len(list((CORPUS / name).iterdir())):>6}  {verdict}")
    sys.exit(any(outcome.broken for outcome in outcomes))


def fuzz(name: str, seconds: int) -> Outcome:
    """Fuzz one target, and keep what was found."""
    print(f"== {name}: {seconds} s", flush=True)
    kept = CORPUS / name
    before = set(kept.iterdir())
    with tempfile.TemporaryDirectory() as finds:
        options = (f"-max_total_time={seconds}", "-timeout=10", "-print_final_stats=1")
        code, said = atheris(name, *options, f"-artifact_prefix={_short(kept)}/", finds, _short(kept))
        broken = sorted(set(kept.iterdir()) - before)
        if code and not broken:
            sys.exit(said)
        if not broken:
            atheris(name, "-set_cover_merge=1", "-use_counters=0", _short(kept), finds)
    if broken:
        print(said[said.rfind("\n ===") :])
    for file in broken:
        print(f"   again: {sys.executable} -m tests.fuzz.targets {name} {_short(file)}")
    return Outcome(name, _last(r"number_of_executed_units: (\d+)", said), _last(r"cov: (\d+)", said), broken)


def atheris(name: str, *options: str) -> tuple[int, str]:
    """Run a target with options of libFuzzer; gives its exit code and all that it said."""
    command = [sys.executable, "-m", "tests.fuzz.run", name, *options]
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return result.returncode, result.stdout.decode(errors="replace")


def _last(pattern: str, said: str) -> int:
    return int(re.findall(pattern, said)[-1])


def _short(path: Path) -> str:
    """The path from `ROOT` on: libFuzzer starts itself through a shell, in which a blank ahead of it would part it."""
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
