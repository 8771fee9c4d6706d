"""`make fuzz`: runs each target of `tests/fuzz` under a coverage-guided fuzzer, starting from the saved inputs.

Of the new inputs, the smallest set that reaches all new branches is added to `tests/fuzz/corpus`. An input that makes a
target fail is saved there too, under the name that is printed: `make test` fails until the bug is fixed. To start from
nothing, remove the files whose names have forty digits: the fuzzer wrote those, and people wrote the others.
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
    """The result of one target: inputs tried, branches reached, and the files whose inputs fail."""

    name: str
    tried: int
    reached: int
    failing: list[Path]


def main() -> None:
    """Fuzz each target in turn; exits with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target [default: 60]")
    parser.add_argument("targets", nargs="*", default=sorted(path.name for path in CORPUS.iterdir()))
    arguments = parser.parse_args()
    outcomes = [fuzz(name, arguments.seconds) for name in arguments.targets]
    print(f"\n  {'target':<10}{'inputs tried':>14}{'branches':>10}{'kept':>6}")
    for name, tried, reached, failing in outcomes:
        verdict = "failed, see above" if failing else "passed"
        print(f"  {name:<10}{tried:>14,}{reached:>10,}{len(list((CORPUS / name).iterdir())):>6}  {verdict}")
    sys.exit(any(outcome.failing for outcome in outcomes))


def fuzz(name: str, seconds: int) -> Outcome:
    """Fuzz one target and save what was found."""
    print(f"== {name}: {seconds} s", flush=True)
    kept = CORPUS / name
    before = set(kept.iterdir())
    with tempfile.TemporaryDirectory() as finds:
        options = (f"-max_total_time={seconds}", "-timeout=10", "-print_final_stats=1")
        code, output = atheris(name, *options, f"-artifact_prefix={_short(kept)}/", finds, _short(kept))
        failing = sorted(set(kept.iterdir()) - before)
        if code and not failing:
            sys.exit(output)
        if not failing:
            atheris(name, "-set_cover_merge=1", "-use_counters=0", _short(kept), finds)
    if failing:
        print(output[output.rfind("\n ===") :])
    for file in failing:
        print(f"   to repeat: {sys.executable} -m tests.fuzz.targets {name} {_short(file)}")
    return Outcome(name, _last(r"number_of_executed_units: (\d+)", output), _last(r"cov: (\d+)", output), failing)


def atheris(name: str, *options: str) -> tuple[int, str]:
    """Run a target with options of libFuzzer; returns its exit code and output."""
    command = [sys.executable, "-m", "tests.fuzz.run", name, *options]
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return result.returncode, result.stdout.decode(errors="replace")


def _last(pattern: str, output: str) -> int:
    return int(re.findall(pattern, output)[-1])


def _short(path: Path) -> str:
    """The path relative to `ROOT`: libFuzzer starts itself through a shell, which would split it at a space."""
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
