"""One workspace's ledger through a month: what was answered, what must have landed, what each run is held to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from collector.buckets import EPOCH, end_of_closed, month_span
from collector.coverage import CoveredSpan
from collector.lake.store import LakeBusy
from collector.model import SeriesKey, Span, Unit
from collector.plan import ALL, configured_series, wanted_span
from tests.simulation.lake_checker import LakeChecker
from tests.simulation.model import Model, Rows, Run, entry_of, first_day, key_of, micros
from tests.simulation.reading import DATA, Reader, Violation, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from collector.config.settings import Workspace
    from collector.simulator.simulation import Simulation
    from collector.summary import WorkspaceSummary
    from tests.simulation.memory_store import Disk
    from tests.simulation.one_run import OneRun, RunResult
    from tests.simulation.simulated_braze import Answer, RequestedWindow

_MOST_UNSAFE_SECONDS = 10.0
"""Answers go to the journal at least that often (CONTRACT section 4)."""

Sent = tuple[SeriesKey, Span]


class Ledger:
    """`begin` ahead of each run, `journaled` for each entry that it writes, `check` after it."""

    def __init__(self, disk: Disk, workspace: Workspace) -> None:
        self.name = workspace.name
        self.model = Model(workspace.timezone)
        self.reader = Reader(disk)
        self.checker = LakeChecker(disk, self.reader, workspace.name)
        self.versions: dict[str, list[tuple[pa.Buffer, Rows]]] = {}
        self._disk = disk
        self._states = [self.model.copy()]
        self._sure = True
        self._newest = EPOCH
        self.begin({})

    @property
    def unsettled(self) -> bool:
        """Whether a journal may wait to be landed."""
        return len(self._states) > 1

    def begin(self, answers: Mapping[RequestedWindow, Answer]) -> None:
        """A run begins, which keeps this ledger of what it is told."""
        self._before = self.model.copy()
        self._entries: list[dict[str, Any]] = []
        self._answers = answers
        self._overtaken = False

    def wakes(self, answers: Mapping[RequestedWindow, Answer], *, held: bool) -> None:
        """The run that keeps this ledger wakes up, after another one. `held`: it had the lock when it fell asleep.

        Where it had, or was done with the workspace, it may write nothing more there.
        """
        self.begin(answers)
        self._overtaken = held or any(name == self.name for name, _, _ in answers)

    def journaled(self, content: pa.Buffer, one_run: OneRun) -> None:
        """An entry of the run is safe: from now on the lake owes what it holds."""
        _require(not self._overtaken, "a run that had lost its lock while asleep put answers into the journal")
        entry = entry_of(content)
        now = asyncio.get_running_loop().time()
        for window in entry:
            if window["status"] != "skipped":
                told = self._told(window)
                _require(window["status"] == "failed" or now - told.at <= _MOST_UNSAFE_SECONDS, "an answer waited long")
                points = list(zip(window["buckets"], window["sessions"], strict=True))
                _require(
                    (told.points if window["status"] == "ok" else []) == points, f"told {told}, journaled {window}"
                )
        self._entries += entry
        self.model.learn(entry, Run(one_run.options.run_id, one_run.options.as_of))

    def check(self, result: RunResult) -> None:
        """Hold the lake, and what the run did, against the ledger."""
        self.reader.check_paths()
        workspace = next((one for one in result.one_run.config.workspaces if one.name == self.name), None)
        summary = (
            next((one for one in result.summary.workspaces if one.name == self.name), None) if result.summary else None
        )
        sent = [(key, span) for name, key, span in self._answers if name == self.name]
        busy = summary is not None and isinstance(summary.problem, LakeBusy)
        if workspace is None or (busy and not self._overtaken):
            _require(not sent and not self._entries, "a run asked for what was not its own")
            return
        if self._overtaken:
            _require(summary is None or isinstance(summary.problem, LakeBusy | None), f"asleep: {summary}")
            self.checker.settled(self.model, tidy=False)
            return
        self._check_sent(sent, workspace, result)
        self._newest = max(self._newest, result.one_run.options.as_of)
        if summary is None or summary.problem is not None:
            self._check_torn(bool(sent))
            if result.killed:
                self._check_nothing_waited_long(result.seconds)
            return
        self._check_settled(summary, sent, tidy=not result.one_run.process.failed)
        if result.summary and result.summary.exit_code == 0 and result.one_run.options.selection == ALL:
            self.is_complete(workspace, result)

    def is_complete(self, workspace: Workspace, result: RunResult) -> None:
        """All that is wanted is covered."""
        for key, span in self._wanted(workspace, result):
            holes = set(range(span.first, span.stop)) - self.model.covered(key)
            _require(not holes, f"{key}: exit 0, and yet wanted and not covered: {sorted(holes)[:5]}")

    def is_true(self, workspace: Workspace, result: RunResult, simulation: Simulation, *, all_of_it: bool) -> None:
        """What the lake holds of the lookback, or of all that is wanted, is what the API tells now."""
        for key, span in self._wanted(workspace, result):
            first = max(
                span.first, 0 if all_of_it else self._closed(workspace, key.unit, result) - workspace.lookback[key.unit]
            )
            for bucket, sessions in simulation.rows(self.name, key, Span(min(first, span.stop), span.stop)):
                row = self.model.row(key, bucket)
                _require(
                    row is not None and row.sessions == sessions, f"{key} {bucket}: {row}, and the truth {sessions}"
                )

    def lost(self, path: str) -> None:
        """Somebody removed a data file."""
        self._replace(path, {})

    def put_back(self, path: str, rows: Rows) -> None:
        """Somebody put an old version of a data file back."""
        self._replace(path, rows)

    def forgot(self) -> None:
        """Somebody removed the coverage table; with a journal that waits, it is open what will be in the next one."""
        self._sure = self._sure and not self.unsettled
        for key, buckets in self.model.answered.items():
            self.model.void.setdefault(key, set()).update(buckets)

    def _replace(self, path: str, rows: Rows) -> None:
        place = place_of(path)
        self.model.rows[place] = dict(rows)
        self.model.changed.discard(place)
        span = month_span(place[1], first_day(place[2]))
        for key, buckets in self.model.answered.items():
            if (key.scope, key.unit) == place[:2]:
                self.model.void.setdefault(key, set()).update(bucket for bucket in buckets if bucket in span)
        self._states = [self.model.copy()]

    def _check_sent(self, sent: list[Sent], workspace: Workspace, result: RunResult) -> None:
        """Nothing was asked that was known and fresh, or not closed; each outcome is of a window that was sent."""
        options = result.one_run.options
        for key, span in sent:
            closed = end_of_closed(key.unit, options.as_of, workspace.settle, workspace.timezone)
            if span.stop > closed:
                raise Violation(f"asked for {key} {span}, which is not closed")
            # An earlier as_of may ask again: coverage does not tell answers apart that are stale to all later runs.
            if not options.selection.forced and self._sure and options.as_of >= self._newest:
                stale = micros(options.as_of - workspace.refresh_after)
                self._check_needed(key, span, closed - workspace.lookback[key.unit], stale)
        outcomes = [
            (key_of(row), Span(row["first"], row["stop"])) for row in self._entries if row["status"] != "skipped"
        ]
        _require(
            len(set(outcomes)) == len(outcomes) and set(outcomes) <= set(sent), "outcomes twice, or of nothing sent"
        )

    def _check_needed(self, key: SeriesKey, span: Span, again: int, stale: int) -> None:
        """Both ends of a window must be asked for: not covered, or of the lookback (from `again` on) and stale."""
        for bucket in (span.first, span.stop - 1):
            answered = self._before.answered.get(key, {}).get(bucket, 0)
            if self._before.covers(key, bucket) and not (bucket >= again and answered <= stale):
                raise Violation(
                    f"asked for {key} {span}, and {bucket} was answered at {answered}: not stale at {stale}"
                )

    def _check_torn(self, sent: bool) -> None:
        """Between two states of the ledger; a run that sent something had landed what it found first."""
        if sent:
            self._states = [self._before]
        self._states.append(self.model.copy())
        self.checker.torn(self._states)
        self.checker.claims(self._states, all_of_them=False)

    def _check_settled(self, summary: WorkspaceSummary, sent: list[Sent], *, tidy: bool) -> None:
        self.checker.settled(self.model, tidy=tidy)
        counted = [row["status"] for row in self._entries]
        _require(counted.count("ok") == summary.counts.ok, f"{counted.count('ok')} answers, told {summary.counts.ok}")
        _require(counted.count("failed") == summary.counts.failed, "failures are told otherwise than logged")
        _require(len(sent) == summary.counts.ok + summary.counts.failed, "the log has not one row a window sent")
        if not self._sure:
            claimed = self.checker.claimed(self.model.zone)
            for key, buckets in self.model.answered.items():
                self.model.void[key] = buckets.keys() - claimed.get(key, set())
            self._sure = True
        self.checker.claims([self.model], all_of_them=True)
        if "ok" in counted:
            self.checker.claims_nothing_void(self.model)
        self._states = [self.model.copy()]
        for path in self.checker.paths(DATA):
            rows, known = self.model.rows[place_of(path)], self.versions.setdefault(path, [])
            if not known or known[-1][1] is not rows:
                known.append((self._disk.files[path].content, rows))

    def _check_nothing_waited_long(self, died: float) -> None:
        safe = {(key_of(row), Span(row["first"], row["stop"])) for row in self._entries}
        for (name, key, span), told in self._answers.items():
            late = name == self.name and told.points is not None and told.at < died - _MOST_UNSAFE_SECONDS
            _require(not late or (key, span) in safe, f"{key} {span} was answered long before the death, and is lost")

    def _wanted(self, workspace: Workspace, result: RunResult) -> list[Sent]:
        """The wanted buckets of each series."""
        found = []
        for declared in configured_series(workspace):
            key = declared.series.key
            first = min(self.model.covered(key), default=None)
            runs = () if first is None else (CoveredSpan(Span(first, first + 1), result.one_run.options.as_of),)
            found.append((key, wanted_span(declared, workspace, runs, result.one_run.options.as_of)))
        return found

    def _closed(self, workspace: Workspace, unit: Unit, result: RunResult) -> int:
        return end_of_closed(unit, result.one_run.options.as_of, workspace.settle, workspace.timezone)

    def _told(self, window: dict[str, Any]) -> Answer:
        told = self._answers.get((self.name, key_of(window), Span(window["first"], window["stop"])))
        if told is None:
            raise Violation(f"an outcome of what was never asked: {window}")
        return told


def _require(promise: bool, text: str) -> None:
    if not promise:
        raise Violation(text)
