"""The targets by name, their kept inputs, and how to try one input again.

python -m tests.fuzz.targets answers FILE …
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.fuzz import answers, configs, headers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CORPUS = Path(__file__).parent / "corpus"


class Target(NamedTuple):
    """`check` holds what comes of any bytes against what is promised; `words` are what such bytes are made of."""

    check: Callable[[bytes], None]
    words: Sequence[str]
    longest: int
    """Bytes of an input at most."""


TARGETS = {
    "answers": Target(answers.check, answers.WORDS, 4096),
    "headers": Target(headers.check, headers.WORDS, 1024),
    "configs": Target(configs.check, configs.WORDS, 2048),
}


def kept(name: str) -> list[Path]:
    """The kept inputs of a target."""
    return sorted((CORPUS / name).iterdir())


def main() -> None:
    """Try the files as inputs of a target; ends with the traceback of the first that breaks a promise."""
    name, *files = sys.argv[1:]
    for file in files:
        TARGETS[name].check(Path(file).read_bytes())
        sys.stdout.write(f"{file}: as promised\n")


if __name__ == "__main__":
    main()
