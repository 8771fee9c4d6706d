from __future__ import annotations

import pytest

from tests.fuzz.targets import TARGETS, kept


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_comes_out_as_promised(name: str) -> None:
    """What the fuzzer found worth keeping, and what once broke a promise, breaks none."""
    files = kept(name)
    assert files
    for file in files:
        try:
            TARGETS[name].check(file.read_bytes())
        except BaseException as error:
            error.add_note(f"again: python -m tests.fuzz.targets {name} {file}")
            raise


def test_the_corpus_stays_small() -> None:
    """What is kept is replayed by every run of the tests, and lies in everyone's clone."""
    sizes = [file.stat().st_size for name in TARGETS for file in kept(name)]
    assert len(sizes) <= 300
    assert sum(sizes) <= 300_000
