"""What a lane has done so far, for whoever shows it while it runs.

One window on its way through a lane: what was tried, since when, and how it can be called off.

Asks for one window until there is an answer or no more is to be tried: gate, attempt, backoff, attempt.

In: an errand. Out: the reply, or the last error. Never here: what an error means for other windows (`lane.py`).

A lane: one workspace's windows, asked for `concurrency` at a time until each has exactly one outcome.

In: windows in the order of their importance. Out: outcomes, in any order, each handed to `record`, which may hold the
lane back. Key, pool and failure belong to a workspace, so lanes know nothing of one another.
Never here: what a reply means (`collector.api`), how often a window is asked for (`asking.py`), when a request may go
(`gate.py`), landing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from collector.api.cancellation import CancelScope
from collector.api.errors import (
    ApiError,
    QuotaExhaustedError,
    RetryableError,
    SeriesRefusedError,
    WorkspaceRefusedError,
)
from collector.api.headers import NO_HEADERS, RateLimitHeaders
from collector.fetch.limiter import RateLimiter
from collector.fetch.quota import Quota
from collector.fetch.retry import CircuitBreaker, retrying
from collector.model import Answered, Failed, Outcome, Skipped

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from collector.api.client import ApiClient, Reply
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.fetch.limiter import Throttle
    from collector.fetch.stop import StopRequest
    from collector.model import SeriesKey, Window


@dataclass(slots=True)
class FetchProgress:
    """Counts that grow while the lane works; written by the lane alone, to be read at any moment.

    `done`, `failed`, `skipped` count windows and end up making `planned`; `attempts` counts HTTP requests; `rows` the
    points answered. `pool_remaining` is the lowest told in this period. `note` is why the lane stopped, in one line.
    """

    name: str
    planned: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    in_flight: int = 0
    attempts: int = 0
    rows: int = 0
    pool_remaining: int | None = None
    pool_limit: int | None = None
    paused_until: datetime | None = None
    note: str = ""


@dataclass(slots=True, eq=False)
class PendingRequest:
    """`attempts` counts requests sent; `error` is the last one's; `waiting` says that no request is under way."""

    window: Window
    attempts: int = 0
    pauses: int = 0
    waiting: bool = True
    probation: bool = False
    replayed: bool = False
    error: ApiError | None = None
    requested_at: datetime | None = None
    started: float = 0.0
    scope: CancelScope | None = None

    def call_off(self) -> None:
        """End the wait that its worker is in, at once: the worker's own scope raises TimeoutError there."""
        if self.scope is not None:
            self.scope.end()

    def answered(self, reply: Reply, clock: Clock) -> Outcome:
        """The outcome of an answer."""
        points = reply.points
        requested_at, duration = self._timing(clock)
        return Answered(
            self.window, points.buckets, points.sessions, reply.http_status, self.attempts, requested_at, duration
        )

    def failed(self, error: ApiError, clock: Clock) -> Outcome:
        """The outcome of the last error."""
        return Failed(self.window, str(error), error.http_status, self.attempts, *self._timing(clock))

    def called_off(self, reason: str, clock: Clock) -> Outcome:
        """The outcome where the lane stopped first: skipped if never sent, else failed as it stood."""
        if self.attempts == 0:
            return Skipped(self.window, reason)
        if self.waiting and self.error is not None:
            return self.failed(self.error, clock)
        return self.failed(ApiError(f"interrupted: {reason}"), clock)

    def _timing(self, clock: Clock) -> tuple[datetime, int]:
        return self.requested_at or clock.now(), round((clock.monotonic() - self.started) * 1000)


log = logging.getLogger(__name__)

MOST_PAUSES = 10
"""How many 429s a window may meet before it counts as failed; they use up none of its attempts."""

_TOLERATED_SKEW = timedelta(seconds=60)


class HaltedError(Exception):
    """Nothing more is to be sent for the window."""


class Asking:
    """How one lane asks. `refusal` gives the reason why nothing more is to be sent for a window, empty while it is."""

    def __init__(  # the lane's parts, which it is made of once
        self,
        workspace: Workspace,
        api: ApiClient,
        gate: RateLimiter,
        breaker: CircuitBreaker,
        clock: Clock,
        rng: Random,
        progress: FetchProgress,
        refusal: Callable[[Window], str],
    ) -> None:
        self._workspace = workspace
        self._api = api
        self._gate = gate
        self._breaker = breaker
        self._clock = clock
        self._rng = rng
        self._progress = progress
        self._refusal = refusal
        self._probation = asyncio.Lock()
        self._clock_checked = False
        self._warned = False

    async def ask(self, errand: PendingRequest) -> Reply:
        """Ask as often as the config's `retry` has it, or until the lane is to stop.

        Raises:
            ApiError: the last one, where all attempts failed or none more is of use.
            HaltedError: where meanwhile nothing more is to be sent.

        """
        try:
            return await self._attempt(errand)
        except RetryableError:
            policy = retrying(self._workspace.retry, self._rng, self._clock.sleep, lambda: bool(self._breaker.tripped))
            return await policy(self._again, errand)
        finally:
            self._end_probation(errand)

    async def _again(self, errand: PendingRequest) -> Reply:
        """For tenacity, whose first attempt is the one that has failed already."""
        if not errand.replayed and errand.error is not None:
            errand.replayed = True
            raise errand.error
        return await self._attempt(errand)

    async def _attempt(self, errand: PendingRequest) -> Reply:
        """One attempt; 429s are waited out within it."""
        while True:
            turn = await self._pass(errand)
            told, refused = NO_HEADERS, False
            try:
                reply = await self._api.ask(errand.window)
                told = reply.headers
            except ApiError as error:
                told, refused = error.headers, isinstance(error, QuotaExhaustedError)
                self._note(errand, error)
                if not refused or errand.pauses > MOST_PAUSES:
                    raise
            else:
                if reply.points.warning:
                    self._warn(errand, reply.points.warning)
                return reply
            finally:
                self._progress.in_flight -= 1
                self._gate.left(turn, told, refused=refused)
                if told.date is not None and not self._clock_checked:
                    self._check_clock(told)

    async def _pass(self, errand: PendingRequest) -> int:
        """Wait until the errand may send, and count that it does."""
        errand.waiting = True
        if self._refusal(errand.window):
            raise HaltedError
        if self._breaker.probation:
            await self._begin_probation(errand)
        turn = await self._gate.enter()
        if self._refusal(errand.window):
            self._gate.turned_back(turn)
            raise HaltedError
        if errand.requested_at is None:
            errand.requested_at = self._clock.now()
            errand.started = self._clock.monotonic()
        errand.attempts += 1
        errand.error = None
        errand.waiting = False
        self._progress.attempts += 1
        self._progress.in_flight += 1
        return turn

    def _note(self, errand: PendingRequest, error: ApiError) -> None:
        errand.waiting = True
        errand.error = error.lean()
        if error.http_status is None:
            self._breaker.heard_nothing(self._clock.monotonic())
        else:
            self._breaker.heard()
        if isinstance(error, RetryableError):
            self._breaker.attempt_failed()
        elif isinstance(error, QuotaExhaustedError):
            errand.pauses += 1
        log.debug("%s: attempt %d: %s", errand.window.series, errand.attempts, error)

    async def _begin_probation(self, errand: PendingRequest) -> None:
        """So much failed in a row that one window alone goes on trying; the others wait for what becomes of it."""
        if errand.probation:
            return
        await self._probation.acquire()
        errand.probation = True
        if not self._breaker.probation:
            self._end_probation(errand)

    def _end_probation(self, errand: PendingRequest) -> None:
        if errand.probation:
            errand.probation = False
            self._probation.release()

    def _warn(self, errand: PendingRequest, warning: str) -> None:
        """A success with `errors` beside it is an answer, since the page says so of `success`; told once a lane."""
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        log.log(level, "%s: answered, with errors beside it: %s", errand.window.series, warning)

    def _check_clock(self, told: RateLimitHeaders) -> None:
        """Once a lane: what is closed, and when the pool refills, is reckoned by this machine's clock."""
        self._clock_checked = True
        skew = self._clock.now() - told.date if told.date is not None else timedelta()
        if abs(skew) > _TOLERATED_SKEW:
            side = "ahead of" if skew > timedelta() else "behind"
            text = (
                "%s: this machine's clock is %d s %s the server's: set it, or buckets are asked for at the wrong time"
            )
            log.warning(text, self._workspace.name, round(abs(skew).total_seconds()), side)


Record = Callable[[Outcome], Awaitable[None]]


class WorkspaceFetcher:
    """The lane of one workspace, for one run. `progress` may be read at any moment."""

    def __init__(
        self, workspace: Workspace, api: ApiClient, pacer: Throttle, clock: Clock, rng: Random, stop: StopRequest
    ) -> None:
        self.progress = FetchProgress(workspace.name)
        self._name = workspace.name
        self._concurrency = workspace.concurrency
        self._clock = clock
        self._stop = stop
        self._breaker = CircuitBreaker(workspace.concurrency)
        rate = workspace.rate_limit
        self._gate = RateLimiter(Quota(rate.per_hour, rate.reserve, rng.random), pacer, clock, self.progress)
        self._asking = Asking(workspace, api, self._gate, self._breaker, clock, rng, self.progress, self._refusal)
        self._errands: set[PendingRequest] = set()
        self._halted = ""
        self._refused: dict[SeriesKey, str] = {}

    async def collect(self, windows: Collection[Window], record: Record) -> None:
        """Give each window one outcome to `record`: answered, failed, or, where the lane stops first, skipped.

        Raises:
            ExceptionGroup: of what `record` raised, after all else was cancelled. No failure of the API is raised.

        """
        self.progress.planned += len(windows)
        if not windows:
            return
        if self._stop.requested:
            self._halt(self._stop.reason)
        queue = iter(windows)
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._watch()), group.create_task(self._gate.dispatch())]
            count = min(self._concurrency, len(windows))
            await asyncio.wait([group.create_task(self._work(queue, record)) for _ in range(count)])
            for task in beside:
                task.cancel()

    async def _work(self, queue: Iterator[Window], record: Record) -> None:
        for window in queue:
            # Bound to no name: this frame would keep the points alive while it waits for the next ones.
            await record(await self._outcome(window))

    async def _watch(self) -> None:
        """Carry a stop into the lane: what waits ends at once, what is in flight after the grace."""
        await self._stop.wait()
        self._halt(self._stop.reason)
        await self._clock.sleep(self._stop.grace_seconds)
        for errand in tuple(self._errands):
            errand.call_off()

    def _halt(self, reason: str) -> None:
        """Send nothing more. The first reason stays."""
        if self._halted:
            return
        self._halted = self.progress.note = reason
        log.warning("%s: %s", self._name, reason)
        for errand in tuple(self._errands):
            if errand.waiting:
                errand.call_off()

    def _refusal(self, window: Window) -> str:
        """Why nothing more is to be sent for the window; empty while something is."""
        return self._halted or (self._refused.get(window.series.key, "") if self._refused else "")

    async def _outcome(self, window: Window) -> Outcome:
        refusal = self._refusal(window)
        if refusal:
            self.progress.skipped += 1
            return Skipped(window, refusal)
        errand = PendingRequest(window)
        try:
            reply = await self._fetch(errand)
        except ApiError as error:
            self._judge(errand, error)
            self.progress.failed += 1
            return errand.failed(error, self._clock)
        except (HaltedError, TimeoutError):
            return self._called_off(errand)
        self._breaker.answered()
        self.progress.done += 1
        self.progress.rows += len(reply.points.buckets)
        log.debug("%s: answered with %d points, attempt %d", window.series, len(reply.points.buckets), errand.attempts)
        return errand.answered(reply, self._clock)

    async def _fetch(self, errand: PendingRequest) -> Reply:
        """Ask, in a scope that `errand.call_off` ends with TimeoutError."""
        scope = errand.scope = CancelScope()
        with scope:
            self._errands.add(errand)
            try:
                return await self._asking.ask(errand)
            finally:
                self._errands.discard(errand)

    def _called_off(self, errand: PendingRequest) -> Outcome:
        outcome = errand.called_off(self._refusal(errand.window), self._clock)
        if isinstance(outcome, Skipped):
            self.progress.skipped += 1
        else:
            self.progress.failed += 1
        return outcome

    def _judge(self, errand: PendingRequest, error: ApiError) -> None:
        """What a window's failure means for the others."""
        series = errand.window.series
        if isinstance(error, WorkspaceRefusedError):
            self._halt(f"workspace stopped: {error}")
        elif isinstance(error, SeriesRefusedError):
            if series.key not in self._refused:
                log.warning("%s: series refused: %s", series, error)
                self._breaker.series_refused()
            self._refused[series.key] = f"series refused: {error}"
        else:
            log.warning("%s: failed after %d attempts: %s", series, errand.attempts, error)
            self._breaker.window_failed()
        if self._breaker.tripped:
            self._halt(f"{self._breaker.tripped}; the last: {error}")
