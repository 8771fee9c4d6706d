"""The table `runs` of one workspace through a month: each run that took the lock has one row, which never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from collector import __version__
from collector.lake.store import LakeBusy
from tests.simulation.model import micros, month_of
from tests.simulation.reading import RAN, Reader, Violation, month_of_path

if TYPE_CHECKING:
    from collector.summary import Summary, WorkspaceSummary
    from tests.simulation.lake_checker import LakeChecker
    from tests.simulation.memory_store import Disk
    from tests.simulation.one_run import OneRun, RunResult

Row = tuple[Any, ...]

_NOT_KNOWN = (None,) * 10
"""End, exit code and counts of a run that died."""


class RunsTable:
    """Call `start_run` before each run, `record` for each file of the table that it writes, and `check` after it."""

    def __init__(self, disk: Disk, reader: Reader, checker: LakeChecker, workspace: str) -> None:
        self._disk, self._reader, self._checker = disk, reader, checker
        self._lock = f"_collector/{workspace}/lock.json"
        self._files: dict[str, list[Row]] = {}
        self._rows: dict[str, Row] = {}
        self._runs: dict[str, OneRun] = {}
        self._left_behind: list[str] = []

    def start_run(self, one_run: OneRun) -> None:
        """A run starts, or resumes. The runs that the lock there names died, or are suspended."""
        self._runs[one_run.options.run_id] = one_run
        lock = self._disk.files.get(self._lock)
        content = orjson.loads(lock.content.to_pybytes()) if lock else None
        self._left_behind = [each["run_id"] for each in (*content["died"], content)] if content else []

    def record(self, path: str, one_run: OneRun) -> None:
        """The run has added a row: its own, or that of the run whose lock it found."""
        *before, row = self._reader.runs(path)
        run_id = row[0]
        _require(before == self._files.get(path, []), f"{path} has other rows than those before and one more")
        _require(run_id not in self._rows, f"run {run_id} has two rows")
        _require(run_id in (one_run.options.run_id, *self._left_behind), f"run {run_id} did not take the lock")
        run = self._runs[run_id]
        _require(month_of_path(path) == month_of(run.at), f"run {run_id} began in another month than {path}")
        began = (run_id, micros(run.options.as_of), micros(run.at))
        died = run_id != one_run.options.run_id
        right = row[3:13] == _NOT_KNOWN if died else None not in row and row[3] >= began[2]
        _require(row[:3] == began and row[-1] == __version__ and right, f"not the row of {run_id}: {row}")
        self._files[path], self._rows[run_id] = [*before, row], row

    def check(self, result: RunResult, summary: WorkspaceSummary | None, *, sent: bool) -> None:
        """The run has its row, and so have the runs that left a lock behind."""
        files = {path: self._reader.runs(path) for path in self._checker.paths(RAN)}
        _require(files == self._files, "somebody else changed the table of runs")
        run_id = result.one_run.options.run_id
        ended = summary is not None and summary.problem is None
        _require(not ended or run_id in self._rows, f"run {run_id} ended, and has no row")
        row = self._rows.get(run_id)
        if result.summary is not None and summary is not None and row is not None and row[3] is not None:
            self._check_counts(row, result.summary, summary)
        for died in self._left_behind if ended or sent else ():
            _require(died not in self._runs or died in self._rows, f"run {died} left its lock behind, and has no row")

    def _check_counts(self, row: Row, run: Summary, summary: WorkspaceSummary) -> None:
        """The row says what the summary says."""
        counts, landed = summary.counts, summary.counts.landed
        windows = (summary.planned, counts.ok, counts.failed, counts.skipped, counts.attempts)
        expected = (*windows, landed.rows_added, landed.rows_restated, landed.rows_unchanged)
        _require(row[5:13] == expected, f"the row has other counts than the summary, {expected}: {row}")
        own = 3 if counts.failed or counts.skipped else 0
        if summary.problem is not None:
            own = 4 if isinstance(summary.problem, LakeBusy) else 5
        # A signal may have come after this workspace had ended, which had skipped windows for another reason.
        codes = {own, run.interrupted} if counts.skipped and own != 5 else {own}
        _require(row[4] in codes, f"the row has another exit code than {codes}: {row}")


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise Violation(text)
