"""Months of nights, each from one seed, with CONTRACT section 4 checked after every run (see `month.py`)."""

from __future__ import annotations

import pytest

from tests.simulation.month import Counts, Month, play

_CHUNKS, _SEEDS = 10, 8
"""`make soak` plays thousands."""
_AROUND_THE_TURN = {"first": 9, "nights": 6}
"""Of the thirty nights, those in which most zones turn their clocks and most months end."""


@pytest.mark.parametrize("chunk", range(_CHUNKS))
def test_seeds(chunk: int) -> None:
    """Whatever crashes, fails or changes, in any order: nothing is lost, reported twice or made up."""
    for seed in range(chunk * _SEEDS, (chunk + 1) * _SEEDS):
        play(seed, **_AROUND_THE_TURN)


@pytest.mark.parametrize("seed", range(2))
def test_whole_month(seed: int) -> None:
    """Over thirty nights the lake holds what was answered, and a last night without faults completes it."""
    counts = play(10_000 + seed)
    assert (counts.months, counts.nights, counts.failures) == (1, 30, 0)


def test_replay() -> None:
    """A seed gives the same month again, to the byte: what it found once it finds again."""
    first, second = _played(3), _played(3)
    assert first.counts == second.counts
    assert first.disk.files == second.disk.files


def test_damage_is_done() -> None:
    """The months do hold what they are there for: deaths, failed writes, threads that meet, restatements."""
    counts = Counts()
    for seed in range(5):
        counts += play(seed, **_AROUND_THE_TURN)
    assert min(counts.kills, counts.failed_writes, counts.overlaps, counts.restatements, counts.requests) > 5


def _played(seed: int) -> Month:
    month = Month(seed)
    for night in range(5):
        month.night(night)
    return month
