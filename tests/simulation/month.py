"""A month of nights from one seed: runs, crashes, faults and changes, with the contract checked after each run.

Call `play(seed)`. Nothing here waits, or uses a disk, a socket or the system's clock; the same seed gives the same
month, to the byte.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import TYPE_CHECKING

from collector.environment import RunOptions
from collector.simulator.options import Boundary, HourFormat, LateOptions, Options, PoolOptions
from collector.simulator.options import Order as PointOrder
from collector.simulator.simulation import Simulation
from tests.simulation.drawn_run import DrawnRun, draw_run, tamper
from tests.simulation.ledger import Ledger
from tests.simulation.memory_store import Disk, File
from tests.simulation.one_run import RunResult, SimulatedClock, perform
from tests.simulation.reading import RAN, Violation
from tests.simulation.settings import change, draw_setting
from tests.simulation.simulated_braze import SimulatedBraze

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from tests.simulation.one_run import OneRun

NIGHTS = 30
_POOL = 1000


@dataclass(slots=True)
class Counts:
    """What happened in a month, or in many. `overlaps`: runs in which several store threads were at work at once."""

    months: int = 0
    nights: int = 0
    runs: int = 0
    kills: int = 0
    sleeps: int = 0
    failed_writes: int = 0
    overlaps: int = 0
    requests: int = 0
    restatements: int = 0
    failures: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self


def play(seed: int, nights: int = NIGHTS, first: int = 0) -> Counts:
    """Play the month of a seed. Raises Violation, which names seed and night."""
    month = Month(seed)
    with _quiet():
        for night in range(first, first + nights):
            try:
                month.night(night)
            except BaseException as error:
                raise Violation(f"seed {seed}, night {night}, run {month.counts.runs}: {_first(error)!r}") from error
        try:
            month.end()
        except BaseException as error:
            raise Violation(f"seed {seed}, the month's end: {_first(error)!r}") from error
    month.counts.months, month.counts.nights = 1, nights
    month.counts.restatements = sum(len(ledger.model.restatements) for ledger in month.ledgers.values())
    return month.counts


class Month:
    """The config, disk, API and ledgers of a seed, and its nights."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        rng = _random(seed, "setting")
        self._setting = draw_setting(rng)
        self.config = self._setting.config
        self.disk = Disk(published=self._published)
        self._clock = SimulatedClock(datetime.combine(self._setting.first_night, time(3), UTC))
        self.simulation = Simulation(self._setting.known, _options(rng, seed), clock=self._clock)
        self.ledgers = {one.name: Ledger(self.disk, one) for one in self._setting.known}
        self.counts = Counts()
        self._now = self._clock.start

    def night(self, number: int) -> None:
        """What happens by day, and then runs until one succeeds or the night is over; some nights have none."""
        rng = _random(self._seed, number)
        self._now = max(self._now, self._clock.start) + timedelta(minutes=1)
        midnight = datetime.combine(self._setting.first_night + timedelta(days=number), time(), UTC)
        self._now = max(self._now, midnight + timedelta(minutes=rng.randrange(120, 300)))
        if rng.random() < 0.2:
            self.config = change(rng, self.config, self._setting.known, self._now.date())
        if rng.random() < 0.1:
            return  # a night without a run
        if rng.random() < 0.15:
            tamper(rng, self.disk, self.ledgers)
        for _ in range(4):
            drawn = draw_run(rng, self.config, self._now, self.counts.runs)
            result = self._run(drawn)
            if self._is_over(result, rng):
                return

    def end(self) -> None:
        """A last run without faults: all wanted buckets are covered, and the lookback equals the API's counts."""
        # Later than any answer of a run whose `as_of` was ahead.
        self._now += timedelta(days=5)
        result = self._run(DrawnRun.plain(self.config, self._now, self.counts.runs))
        _expect(result.summary is not None and result.summary.exit_code == 0, f"the last run: {result.summary}")
        self._again(result)
        for workspace in self.config.workspaces:
            ledger = self.ledgers[workspace.name]
            ledger.check_complete(workspace, result)
            ledger.check_lookback(workspace, result, self.simulation)

    def _run(self, drawn: DrawnRun) -> RunResult:
        for name, ledger in self.ledgers.items():
            drawn.restate(self.simulation, name, ledger.model)
        self._clock.start = drawn.one_run.at
        for workspace in self.config.workspaces:
            self.simulation.spend(workspace.name, drawn.spent)
        self._one_run = drawn.one_run
        braze = SimulatedBraze(
            self.simulation, drawn.one_run.process, drawn.one_run.network, _random(drawn.one_run.options.run_id)
        )
        drawn.one_run.process.meanwhile = lambda: self._meanwhile(drawn.one_run, braze)
        for ledger in self.ledgers.values():
            ledger.start_run(braze.answers, drawn.one_run)
        result = perform(drawn.one_run, self.disk, braze, self._clock)
        self._now = self._clock.start + timedelta(seconds=result.seconds)
        self.counts.runs += 1
        self.counts.kills += result.killed
        self.counts.failed_writes += result.one_run.process.failed
        self.counts.overlaps += result.threads > 1
        self.counts.requests += result.braze.requests
        for ledger in self.ledgers.values():
            ledger.check(result)
        return result

    def _meanwhile(self, suspended: OneRun, braze: SimulatedBraze) -> None:
        """A run is suspended beyond its lease, another run takes over, and an hour later the first one resumes."""
        holders = self._held_by(suspended.options.run_id)
        self._now = self._clock.now() + timedelta(hours=1)
        another = DrawnRun.plain(suspended.config, self._now, self.counts.runs)
        with ThreadPoolExecutor(1) as elsewhere:  # this one belongs to the suspended run
            elsewhere.submit(self._run, another).result()
        self._clock.start = self._now + timedelta(hours=1)
        self._one_run = suspended
        self.counts.sleeps += 1
        for name, ledger in self.ledgers.items():
            ledger.resume_run(braze.answers, suspended, held=name in holders)

    def _held_by(self, run_id: str) -> set[str]:
        """The workspaces whose lock the run holds."""
        locks = {name: self.disk.files.get(f"_collector/{name}/lock.json") for name in self.ledgers}
        return {name for name, lock in locks.items() if lock and run_id in lock.content.to_pybytes().decode()}

    def _is_over(self, result: RunResult, rng: Random) -> bool:
        """Whether the night is over; otherwise some minutes pass."""
        if result.summary is not None and result.summary.exit_code in (0, 3):
            if rng.random() < 0.2:
                self._again(result)
            return True
        self._now += timedelta(seconds=rng.choice((1, 30, 90, 600)))
        return rng.random() < 0.3

    def _again(self, result: RunResult) -> None:
        """A second run with the same as_of right after a complete one sends nothing and changes no byte."""
        one_run, options = result.one_run, result.one_run.options
        complete = (
            result.summary is not None
            and result.summary.exit_code == 0
            and options == RunOptions(options.run_id, options.as_of)
        )
        # While it was suspended, another run may have answered with a later as_of. One that is ahead of the answers'
        # own Date finds them stale.
        if not complete or one_run.process.suspend_at or options.as_of > one_run.at:
            return
        before = self._files()
        drawn = DrawnRun.plain(one_run.config, self._now, self.counts.runs, options.as_of)
        again = self._run(drawn)
        _expect(again.braze.requests == 0, f"requested again: {list(again.braze.answers)[:3]}")
        _expect(self._files() == before, "a run that learned nothing changed a file")

    def _files(self) -> dict[str, File]:
        """All files but the table of runs, and locks: what a run could not release may be released by the next one."""
        files = self.disk.files.items()
        return {path: file for path, file in files if not path.startswith("runs/") and not path.endswith("/lock.json")}

    def _published(self, path: str, content: pa.Buffer) -> None:
        parts = path.split("/")
        if len(parts) > 2 and parts[2] == "journal":
            self.ledgers[parts[1]].record_journal(parts[3], content, self._one_run, self._clock.monotonic())
        ran = RAN.fullmatch(path)
        if ran is not None:
            self.ledgers[ran["workspace"]].runs.record(path, self._one_run)


def _options(rng: Random, seed: int) -> Options:
    return Options(
        seed=seed,
        pool=PoolOptions(limit=_POOL, retry_after_seconds=rng.choice((None, 3))),
        late=LateOptions(share=0.08, days=rng.choice((2, 10))),
        hour_format=rng.choice([each for each in HourFormat if each is not HourFormat.NAIVE_LOCAL]),
        boundary=rng.choice(list(Boundary)),
        order=rng.choice(list(PointOrder)),
        extra_fields=rng.random() < 0.2,
        absent_share=rng.choice((0.0, 0.0, 0.02)),
    )


def _random(*parts: object) -> Random:
    return Random("/".join(map(str, parts)))  # noqa: S311 - chance, no secrets


def _first(error: BaseException) -> BaseException:
    """The first error, out of its exception groups."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _expect(holds: bool, text: str) -> None:
    if not holds:
        raise Violation(text)


@contextmanager
def _quiet() -> Iterator[None]:
    """Switch logging off: a month is full of the collector's warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
