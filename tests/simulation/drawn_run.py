"""What one run of a month meets, drawn from a seed: network faults, a crash, a full disk, options, an interruption."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from collector.environment import RunOptions
from collector.lake.recorder import RecorderLimits
from collector.plan import ALL, Selection
from collector.simulator.options import Fault
from tests.simulation.one_run import Interruption, OneRun
from tests.simulation.reading import COVERED, DATA, partition_of
from tests.simulation.simulated_braze import Network
from tests.simulation.simulated_process import SimulatedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from collector.config.settings import Config
    from collector.model import SeriesKey
    from collector.simulator.simulation import Simulation
    from tests.simulation.ledger import Ledger
    from tests.simulation.memory_store import Disk
    from tests.simulation.model import Model

_ODD = (Fault.OUTSIDE, Fault.REPEATED, Fault.ELSEWHERE, Fault.CONFLICT, Fault.FRACTIONAL, Fault.NEGATIVE, Fault.TEXT)
_ROUGH = (Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.TOO_MANY, Fault.RESET, Fault.CUT, Fault.TRUNCATED, Fault.SLOW)
_WRONG = (Fault.NO_DATA, Fault.NOT_SUCCESS, Fault.QUEUED, Fault.HTML, Fault.OFF_BUCKET)


@dataclass(frozen=True, slots=True)
class DrawnRun:
    """`spent`: other clients' requests before the run. `changes`: shares that choose the buckets to restate."""

    one_run: OneRun
    spent: int = 0
    changes: tuple[float, ...] = field(default=())

    @classmethod
    def plain(cls, config: Config, at: datetime, number: int, as_of: datetime | None = None) -> DrawnRun:
        """A run without faults."""
        return cls(OneRun(config, RunOptions(_run_id(at, number), as_of or at), at))

    def restate(self, simulation: Simulation, workspace: str, model: Model) -> None:
        """Change the API's counts of some landed buckets."""
        if not self.changes:
            return
        landed = [(key, bucket) for key, buckets in model.answered.items() for bucket in buckets]
        counts: dict[SeriesKey, dict[int, int]] = {}
        for share in self.changes if landed else ():
            # Newest buckets mostly: those are read again.
            key, bucket = landed[-1 - int(share**2 * len(landed))]
            counts.setdefault(key, {})[bucket] = int(share * 1_000_000) % 977
        for key, restated in counts.items():
            simulation.restate(workspace, key, restated)


def draw_run(rng: Random, config: Config, at: datetime, number: int) -> DrawnRun:
    """Draw a run."""
    # Rarely, `--as-of` is ahead of the clock.
    as_of = at - timedelta(minutes=rng.choices((0, 7, 1500, -40, -4000), (20, 4, 4, 1, 1))[0])
    bound = rng.choice((None, None, None, None, None, None, rng.randrange(12)))
    spent = rng.choices((0, 900, 1000), (16, 1, 1))[0]
    if spent and at.minute < 55:
        at = at.replace(minute=55)  # the quota is reset soon: an hour of waiting would show nothing more
    one_run = OneRun(
        _narrowed(rng, config),
        RunOptions(_run_id(at, number), as_of, _selection(rng, config, at), bound),
        at,
        _process(rng),
        _network(rng),
        _bounds(rng),
        rng.choice(("", "", "elsewhere")),
        _interruption(rng),
        store_seconds=rng.choice((0.001, 0.001, 0.05, 0.3)),
        connections=rng.choice((2, 1000)),
    )
    changes = tuple(rng.random() for _ in range(rng.choice((0, 0, 3, 10))))
    return DrawnRun(one_run, spent, changes)


def tamper(rng: Random, disk: Disk, ledgers: Mapping[str, Ledger]) -> None:
    """Delete a file of the lake, restore an old version of one, or copy all files elsewhere and back."""
    name = rng.choice(sorted(ledgers))
    ledger = ledgers[name]
    files = sorted(ledger.checker.paths(DATA))
    match rng.randrange(4):
        case 0 if files and not ledger.has_pending_journal:
            path = rng.choice(files)
            del disk.files[path]
            ledger.file_removed(path)
        case 1 if files and not ledger.has_pending_journal:
            path = rng.choice(files)
            content, rows = rng.choice(ledger.versions[path])
            if ledger.model.rows[partition_of(path)] is not rows:
                ledger.file_restored(path, rows)
            disk.put(path, content)
        case 2:
            for path in ledger.checker.paths(COVERED):
                del disk.files[path]
            ledger.coverage_removed()
        case _:
            for path, file in list(disk.files.items()):
                disk.put(path, file.content)


def _narrowed(rng: Random, config: Config) -> Config:
    """Select one workspace, as `--workspace` does."""
    if len(config.workspaces) == 1 or rng.random() < 0.9:
        return config
    return replace(config, workspaces=(rng.choice(config.workspaces),))


def _selection(rng: Random, config: Config, at: datetime) -> Selection:
    apps = [app.name for workspace in config.workspaces for app in workspace.apps]
    first = at.date() - timedelta(days=rng.randrange(40))
    match rng.randrange(20):
        case 0:
            return Selection(apps=frozenset({rng.choice(apps)}))
        case 1:
            return Selection(first=first, last=first + timedelta(days=rng.randrange(20)))
        case 2:
            return Selection(first=first)
        case _:
            return ALL


def _bounds(rng: Random) -> RecorderLimits:
    """Rarely a journal file for each answer, or a landing for each journal file: both are slow."""
    points, landing = rng.choices((1, 100, 100_000), (1, 2, 7))[0], rng.choices((1, 1 << 26), (1, 8))[0]
    return RecorderLimits(points, rng.choice((5.0, 8.0)), landing)


def _process(rng: Random) -> SimulatedProcess:
    match rng.randrange(11):
        case 0 | 1 | 2:
            return SimulatedProcess(kill_at=rng.randrange(1, rng.choice((18, 18, 50))))
        case 3:
            return SimulatedProcess(kill_at=rng.randrange(1, rng.choice((20, 60))), store_effects_only=False)
        case 6:
            return SimulatedProcess(suspend_at=rng.randrange(1, 20))
        case 4:
            first = rng.randrange(1, 16)
            return SimulatedProcess(failing_writes=range(first, first + rng.choice((1, 1000))))
        case 5:
            first = rng.randrange(1, 22)
            return SimulatedProcess(failing_effects=range(first, first + rng.choice((1, 1000))))
        case _:
            return SimulatedProcess()


def _network(rng: Random) -> Network:
    others, dates = rng.choice((0, 0, 0, 5)), rng.random() < 0.7
    match rng.randrange(8):
        case 0 | 1:
            faults, share = rng.sample((*_ODD, *_ROUGH, *_WRONG), 3), 0.06
        case 2:
            faults, share = rng.sample((*_ODD, *_ROUGH, *_WRONG), 3), 0.25
        case 3:
            faults, share = [rng.choice(_ROUGH)], 0.95
        case _:
            return Network(dates=dates)
    return Network(dict.fromkeys(faults, share), others, rng.choice((0.05, 2.0)), dates)


def _interruption(rng: Random) -> Interruption | None:
    seconds = 6 * rng.random() ** 2
    match rng.randrange(20):
        case 0:
            return Interruption(seconds)
        case 1:
            return Interruption(seconds, 143)
        case 2:
            return Interruption(seconds, 130, twice=True)
        case _:
            return None


def _run_id(at: datetime, number: int) -> str:
    return f"{at:%Y%m%dT%H%M%SZ}-{number:06x}"
