"""One workspace's ledger through a month: what the API answered, what the lake must hold, what each run may do.

`tests/support/ledger.py` is the other one: it checks a real lake, through DuckDB, against the API's counts. This one
knows each answer and each journal file of a run, so it also checks requests, log, coverage and what a crash may lose.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from collector.environment import RunOptions
from collector.lake.store import LakeBusy
from collector.model import SeriesKey, Span
from tests.simulation.lake_checker import LakeChecker
from tests.simulation.model import Model, Rows, Run, entry_of, key_of, micros, month
from tests.simulation.reading import DATA, Reader, Violation, partition_of
from tests.simulation.runs_table import RunsTable
from tests.simulation.wanted import (
    EPOCH,
    declared_series,
    is_closed,
    local_date,
    looked_back,
    newest_settled,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from datetime import datetime

    import pyarrow as pa

    from collector.config.settings import Workspace
    from collector.simulator.simulation import Simulation
    from collector.summary import WorkspaceSummary
    from tests.simulation.memory_store import Disk
    from tests.simulation.one_run import OneRun, RunResult
    from tests.simulation.simulated_braze import Answer, RequestedWindow

_MOST_UNSAFE_SECONDS = 10.0
"""The longest time that an answer may be in memory alone (CONTRACT section 4)."""

Sent = tuple[SeriesKey, Span]
Rules = tuple[timedelta, tuple[object, ...]]


class Ledger:
    """Call `start_run` before each run, `record_journal` for each journal file that it writes, and `check` after it."""

    def __init__(self, disk: Disk, workspace: Workspace) -> None:
        self.name = workspace.name
        self.model = Model(workspace.timezone)
        self.reader = Reader(disk)
        self.checker = LakeChecker(disk, self.reader, workspace.name)
        self.runs = RunsTable(disk, self.reader, self.checker, workspace.name)
        self.versions: dict[str, list[tuple[pa.Buffer, Rows]]] = {}
        self._disk = disk
        self._states = [self.model.copy()]
        self._sure = True
        self._newest = EPOCH
        self._pending: set[Rules] = set()
        self._tampered: set[str] = set()
        self._forget_run({})

    @property
    def has_pending_journal(self) -> bool:
        """Whether the lake may have a journal that is not landed."""
        return len(self._states) > 1

    def start_run(self, answers: Mapping[RequestedWindow, Answer], one_run: OneRun) -> None:
        """A run starts. `answers` is filled with what the API answers to it."""
        self._forget_run(answers)
        self.runs.start_run(one_run)

    def resume_run(self, answers: Mapping[RequestedWindow, Answer], one_run: OneRun, *, held: bool) -> None:
        """A suspended run resumes after another run. `held`: it had this workspace's lock when it was suspended.

        If it had the lock, or had already released it, it may not write to this workspace any more.
        """
        self.start_run(answers, one_run)
        self._overtaken = held or any(name == self.name for name, _, _ in answers)

    def record_journal(self, landing: str, content: pa.Buffer, one_run: OneRun, now: float) -> None:
        """The run has written a journal file, `now` seconds after its start: its answers must not be lost any more."""
        _require(not self._overtaken, "a run that lost its lock while suspended wrote to the journal")
        entry = entry_of(content)
        for window in entry:
            if window["status"] != "skipped":
                answer = self._answer_to(window)
                _require(
                    window["status"] == "failed" or now - answer.at <= _MOST_UNSAFE_SECONDS,
                    "an answer was in memory for too long",
                )
                points = list(zip(window["buckets"], window["values"], strict=True))
                headers = (window["answered_date"], window["quota_remaining"])
                _require(
                    (window["status"] == "failed" or headers == (answer.date, answer.remaining))
                    and (answer.points if window["status"] == "ok" else []) == points,
                    f"answered {answer}, but the journal has {window}",
                )
        self._entries += entry
        if any(window["status"] == "ok" for window in entry):
            self.model.disbelieve(_believed_until(one_run))
        workspace = next(one for one in one_run.config.workspaces if one.name == self.name)
        self._pending.add(_rules(workspace))
        settles = cache(partial(newest_settled, workspace))
        run = Run(one_run.options.run_id, one_run.options.as_of, one_run.at, landing, settles)
        self.model.learn(entry, run)

    def check(self, result: RunResult) -> None:
        """Check the lake, and what the run did, against the ledger."""
        self.reader.check_paths()
        workspace = next((one for one in result.one_run.config.workspaces if one.name == self.name), None)
        summary = (
            next((one for one in result.summary.workspaces if one.name == self.name), None) if result.summary else None
        )
        sent = [(key, span) for name, key, span in self._answers if name == self.name]
        self.runs.check(result, summary, sent=bool(sent))
        _require(summary is None or summary.bug is None, f"a bug: {summary and summary.bug!r}")
        busy = summary is not None and isinstance(summary.problem, LakeBusy)
        if workspace is None or (busy and not self._overtaken):
            _require(not sent and not self._entries, "a run requested windows of a workspace that it did not hold")
            return
        if self._overtaken:
            _require(summary is None or isinstance(summary.problem, LakeBusy | None), f"suspended: {summary}")
            self.checker.check_landed(self.model, tidy=False)
            return
        self._prepare(workspace, result)
        self._check_sent(sent, workspace, result)
        self._newest = max(self._newest, result.one_run.options.as_of)
        if summary is None or summary.problem is not None:
            self._check_interrupted(bool(sent))
            if result.killed:
                self._check_nothing_waited_long(result.seconds)
            return
        self._pending = set()
        self._check_landed(summary, sent, tidy=not result.one_run.process.failed)
        if self._sure and result.summary and result.summary.exit_code == 0 and not _is_narrowed(result.one_run.options):
            self.check_complete(workspace, result)

    def check_complete(self, workspace: Workspace, result: RunResult) -> None:
        """All wanted buckets are covered, those of the lookback are fresh, and older ones are settled or fresh."""
        now = result.one_run.options.as_of
        stale = micros(now - workspace.refresh_after)
        after = self.model.copy()
        after.disbelieve(_believed_until(result.one_run))
        for key, buckets in self._wanted(workspace, now).items():
            holes = buckets - after.covered(key)
            _require(not holes, f"{key}: exit 0, but these wanted buckets are not covered: {sorted(holes)[:5]}")
            answered, again = after.answered.get(key, {}), self._read_again(key, after, workspace, now)
            # An answer counts from its own Date where `as_of` is ahead of that: it can be stale as it comes.
            now_answered = {
                bucket
                for row in self._entries
                if row["status"] == "ok" and key_of(row) == key
                for bucket in range(row["first"], row["stop"])
            }
            old = [each for each in sorted(buckets - now_answered) if each in again and answered[each] <= stale]
            _require(not old, f"{key}: exit 0, but these buckets were not read again: {old[:5]}")

    def check_lookback(self, workspace: Workspace, result: RunResult, simulation: Simulation) -> None:
        """The lake's counts of the lookback are those that the API answers now."""
        now = result.one_run.options.as_of
        for key, buckets in self._wanted(workspace, now).items():
            for bucket in sorted(buckets & looked_back(key.unit, workspace, now)):
                for _, sessions in simulation.rows(self.name, key, Span(bucket, bucket + 1)):
                    row = self.model.row(key, bucket)
                    right = row is not None and row.sessions == sessions
                    _require(right, f"{key} {bucket}: {row}, but the API has {sessions}")

    def file_removed(self, path: str) -> None:
        """A data file was removed from outside."""
        self._replace(path, {})

    def file_restored(self, path: str, rows: Rows) -> None:
        """An old version of a data file was restored from outside."""
        self._replace(path, rows)

    def coverage_removed(self) -> None:
        """The coverage table was removed from outside.

        If a journal is not landed yet, its landing writes a coverage table that the ledger cannot predict: the ledger
        takes it over after the next run (`_sure`).
        """
        if self.has_pending_journal:
            self._sure = False
            return
        for each in (self.model.answered, self.model.void, self.model.settled):
            each.clear()
        self._states = [self.model.copy()]

    def _replace(self, path: str, rows: Rows) -> None:
        # The second time, it may be the file again that the coverage knows, which then stays covered.
        self._sure = self._sure and path not in self._tampered
        self._tampered.add(path)
        place = partition_of(path)
        self.model.rows[place] = dict(rows)
        self.model.changed.discard(place)
        for key, buckets in self.model.answered.items():
            if (key.scope, key.unit) == place[:2]:
                self.model.lose(key, (bucket for bucket in buckets if month(key.unit, bucket) == place[2]))
        self._states = [self.model.copy()]

    def _check_sent(self, sent: list[Sent], workspace: Workspace, result: RunResult) -> None:
        """Only closed buckets that are unknown or stale were requested; each outcome is of a window that was sent."""
        options = result.one_run.options
        # A run with an earlier as_of may request more: coverage does not keep apart answers that are stale to all later
        # runs.
        due_alone = not options.selection.forced and self._sure and options.as_of >= self._newest
        wanted_buckets = self._wanted(workspace, options.as_of) if sent and due_alone else {}
        for key, span in sent:
            if not is_closed(key.unit, span.stop - 1, workspace, options.as_of):
                raise Violation(f"requested {key} {span}, which is not closed")
            if options.selection.forced:
                self._check_selected(key, span, options)
            if due_alone:
                self._check_needed(key, span, wanted_buckets[key], workspace, options)
        outcomes = [
            (key_of(row), Span(row["first"], row["stop"])) for row in self._entries if row["status"] != "skipped"
        ]
        _require(
            len(set(outcomes)) == len(outcomes) and set(outcomes) <= set(sent),
            "two outcomes of one window, or one of a window that was not sent",
        )

    def _check_selected(self, key: SeriesKey, span: Span, options: RunOptions) -> None:
        """Both ends of a forced window are within `--from` and `--to`."""
        selection = options.selection
        for bucket in (span.first, span.stop - 1):
            day = local_date(key.unit, bucket, self.model.zone)
            if not (selection.first or day) <= day <= (selection.last or day):
                raise Violation(f"requested {key} {span}, but {day} is not within {selection}")

    def _check_needed(
        self, key: SeriesKey, span: Span, wanted_buckets: set[int], workspace: Workspace, options: RunOptions
    ) -> None:
        """Both ends of a window are due: wanted, and not covered, or stale and in the lookback or not settled."""
        again = self._read_again(key, self._believed, workspace, options.as_of)
        stale = micros(options.as_of - workspace.refresh_after)
        for bucket in (span.first, span.stop - 1):
            if bucket not in wanted_buckets:
                raise Violation(f"requested {key} {span}, but {bucket} is not wanted")
            answered = self._believed.answered.get(key, {}).get(bucket, 0)
            if bucket in self._believed.covered(key) and not (bucket in again and answered <= stale):
                raise Violation(
                    f"requested {key} {span}, but {bucket} was answered at {answered}, which is not stale at {stale}"
                )

    def _check_interrupted(self, sent: bool) -> None:
        """The lake is between two states of the ledger.

        A run that sent a request had landed the journal that it found, so the older states are no longer possible.
        """
        if sent:
            self._states = [self._before]
        self._states.append(self.model.copy())
        self.checker.check_interrupted(self._states)
        self.checker.check_coverage(self._states, all_of_them=False)

    def _check_landed(self, summary: WorkspaceSummary, sent: list[Sent], *, tidy: bool) -> None:
        self.checker.check_landed(self.model, tidy=tidy)
        counted = [row["status"] for row in self._entries]
        _require(
            counted.count("ok") == summary.counts.ok, f"{counted.count('ok')} answers, but reported {summary.counts.ok}"
        )
        _require(counted.count("failed") == summary.counts.failed, "the summary counts other failures than the log")
        _require(
            len(sent) == summary.counts.ok + summary.counts.failed, "the log does not have one row for each window sent"
        )
        if "ok" in counted:
            # Only a landing with answers writes the coverage that the ledger can take over.
            if not self._sure:
                self._take_over()
            self.checker.check_void(self.model)
            self.model.disbelieved.clear()
            self._tampered.clear()
        self.checker.check_coverage([self.model], all_of_them=self._sure)
        if self._sure:
            self.checker.check_settled(self.model)
        self._states = [self.model.copy()]
        for path in self.checker.paths(DATA):
            rows, known = self.model.rows[partition_of(path)], self.versions.setdefault(path, [])
            if not known or known[-1][1] is not rows:
                known.append((self._disk.files[path].content, rows))

    def _check_nothing_waited_long(self, crashed_at: float) -> None:
        safe = {(key_of(row), Span(row["first"], row["stop"])) for row in self._entries}
        for (name, key, span), answer in self._answers.items():
            late = name == self.name and answer.points is not None and answer.at < crashed_at - _MOST_UNSAFE_SECONDS
            _require(not late or (key, span) in safe, f"{key} {span} was answered long before the crash, and is lost")

    def _forget_run(self, answers: Mapping[RequestedWindow, Answer]) -> None:
        self._before = self._believed = self.model.copy()
        self._entries: list[dict[str, Any]] = []
        self._answers = answers
        self._found = set(self._pending)
        self._overtaken = False

    def _prepare(self, workspace: Workspace, result: RunResult) -> None:
        """What the run believes of the coverage that it found, and whether the ledger can know that."""
        self._believed = self._before.copy()
        disbelieved = self._believed.disbelieve(_believed_until(result.one_run))
        # The run landed a journal that was left behind with its own rules; how far the others had come is not known.
        others = self._found - {_rules(workspace)}
        if self._found and (others or disbelieved or self._before.disbelieved):
            self._sure = False
        self._was_sure = self._sure

    def _take_over(self) -> None:
        """Take the coverage from the table, where the ledger cannot know it."""
        found, model = self.checker.coverage(self.model.zone), self.model
        for key, dropped in model.disbelieved.items():
            covered = found.covered.get(key, set())
            model.answered[key] = {bucket: at for bucket, at in dropped.items() if bucket in covered} | model.answered[
                key
            ]
        for key, answered in model.answered.items():
            covered, void = (of.get(key, set()) & answered.keys() for of in (found.covered, found.void))
            model.void[key], model.settled[key] = void, found.settled.get(key, set()) & covered
            for bucket in answered.keys() - covered - void:
                del answered[bucket]
        self._sure = True

    def _read_again(self, key: SeriesKey, model: Model, workspace: Workspace, now: datetime) -> Container[int]:
        """The buckets to read again once they are stale: those of the lookback, and those that are not settled."""
        if not workspace.lookback[key.unit]:
            return ()
        not_settled = model.covered(key) - model.settled.get(key, set())
        return not_settled | looked_back(key.unit, workspace, now)

    def _wanted(self, workspace: Workspace, now: datetime) -> dict[SeriesKey, set[int]]:
        """The wanted buckets of each series."""
        known = self._believed.answered if self._was_sure else {}
        return {each.key: wanted(each, workspace, known.get(each.key, ()), now) for each in declared_series(workspace)}

    def _answer_to(self, window: dict[str, Any]) -> Answer:
        answer = self._answers.get((self.name, key_of(window), Span(window["first"], window["stop"])))
        if answer is None:
            raise Violation(f"an outcome of a window that was never sent: {window}")
        return answer


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise Violation(text)


def _rules(workspace: Workspace) -> Rules:
    """What decides which buckets an answer settles."""
    return workspace.settle, tuple(sorted(workspace.lookback.items()))


def _believed_until(one_run: OneRun) -> datetime:
    """Until when a run believes coverage: what ends later, or came later, was made with a wrong clock."""
    return max(one_run.options.as_of, one_run.at) + timedelta(hours=1)


def _is_narrowed(options: RunOptions) -> bool:
    return options != RunOptions(options.run_id, options.as_of, max_requests=options.max_requests)
