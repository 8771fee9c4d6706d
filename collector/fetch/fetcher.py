"""Requests a workspace's windows, `concurrency` at a time, until each has exactly one outcome.

In: windows, the most important first. Out: outcomes, in any order, each handed to `record`, which may make the workers
wait. When a request may be sent is in `limiter.py`, how often a window is tried in `retry.py`, what a reply means in
`collector.api`. Key, quotas and failures belong to a workspace, so fetchers know nothing of one another. Each quota has
workers of its own, and each metric its own count of failures, so that what holds up one holds up no other.

Never here: landing, and what is requested next.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.api.cancellation import CancelScope
from collector.api.errors import (
    ApiError,
    ConnectionLostError,
    MetricRefusedError,
    NotClosedError,
    QuotaExhaustedError,
    RetryableError,
    SeriesRefusedError,
    WorkspaceRefusedError,
)
from collector.api.headers import NO_HEADERS
from collector.fetch.limiter import BothPermits, RateLimiter
from collector.fetch.progress import FetchProgress
from collector.fetch.quota import Quota
from collector.fetch.retry import CircuitBreaker, retrying
from collector.fetch.server_clock import ServerClock
from collector.metrics import METRICS
from collector.model import Answered, Failed, Outcome, Skipped

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from collector.api.client import ApiClient, Reply
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.fetch.limiter import Permits, Throttle
    from collector.fetch.stop import StopRequest
    from collector.metrics import QuotaGroup
    from collector.model import SeriesKey, Window

log = logging.getLogger(__name__)

MAX_PAUSES = 10
"""How many 429s a window may meet before it counts as failed. They use up none of its attempts."""


def _quota_of(metric: str) -> QuotaGroup:
    return METRICS[metric].quota


def _of_quota(windows: Collection[Window], name: str) -> Iterator[Window]:
    return (window for window in windows if _quota_of(window.series.key.metric).name == name)


Record = Callable[[Outcome], Awaitable[None]]


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A window that is being requested. `attempts` counts requests sent; `waiting`: no request is in flight.

    `lost`: one request was sent on a connection that the server had closed, and was repeated at once.
    `not_before`: for a deferred window, when the server's wait is over, in monotonic seconds.
    """

    window: Window
    attempts: int = 0
    pauses: int = 0
    lost: bool = False
    waiting: bool = True
    on_trial: bool = False
    error: ApiError | None = None
    requested_at: datetime | None = None
    started: float = 0.0
    not_before: float | None = None
    scope: CancelScope | None = None

    def begin_attempt(self, clock: Clock) -> None:
        """A request is about to be sent."""
        if self.requested_at is None:
            self.requested_at, self.started = clock.now(), clock.monotonic()
        self.attempts += 1
        self.error, self.waiting = None, False

    def cancel(self) -> None:
        """End the wait that its worker is in, at once: TimeoutError is raised there."""
        if self.scope is not None:
            self.scope.cancel()

    def answered(self, reply: Reply, clock: Clock) -> Outcome:
        """The outcome of an answer."""
        points, headers = reply.points, reply.headers
        requested_at, duration_ms = self._timing(clock)
        return Answered(
            self.window, points.buckets, points.values, reply.http_status, self.attempts, requested_at, duration_ms,
            headers.date, headers.remaining,
        )  # fmt: skip

    def failed(self, error: ApiError, clock: Clock) -> Outcome:
        """The outcome of the last error."""
        requested_at, duration_ms = self._timing(clock)
        return Failed(
            self.window, str(error), error.http_status, self.attempts, requested_at, duration_ms,
            error.headers.remaining,
        )  # fmt: skip

    def cancelled(self, reason: str, clock: Clock) -> Outcome:
        """The outcome where the workspace stopped first: skipped if never sent, else failed."""
        if self.attempts == 0:
            return Skipped(self.window, reason)
        # Between two attempts, the last error is the reason. In flight, what the reply would have been is unknown.
        if self.waiting and self.error is not None:
            return self.failed(self.error, clock)
        return self.failed(ApiError(f"interrupted: {reason}"), clock)

    def _timing(self, clock: Clock) -> tuple[datetime, int]:
        return self.requested_at or clock.now(), round((clock.monotonic() - self.started) * 1000)


class _DeferredError(Exception):
    """The server wants a longer wait than `retry` allows."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class FetchResources:
    """What a fetcher works with. `connections`: those of the process, shared by all workspaces."""

    throttle: Throttle
    connections: asyncio.Semaphore
    clock: Clock
    rng: Random
    stop: StopRequest


@dataclass(slots=True, eq=False)
class _Lane:
    """What is requested against one quota: its own limiter, workers and deferred windows.

    So a quota that is used up holds up no other. Throttle and concurrency are the workspace's.
    """

    limiter: RateLimiter
    deferred: deque[PendingRequest] = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _MetricState:
    """What came of a metric so far. `halted`: why nothing more of it is sent; empty while something is."""

    breaker: CircuitBreaker
    trial: asyncio.Lock = field(default_factory=asyncio.Lock)
    halted: str = ""


class WorkspaceFetcher:
    """The fetcher of one workspace, for one run."""

    def __init__(
        self,
        workspace: Workspace,
        api: ApiClient,
        resources: FetchResources,
        as_of: datetime | None = None,
        *,
        as_of_given: bool = False,
    ) -> None:
        self.progress = FetchProgress(workspace.name)
        self._workspace, self._api = workspace, api
        self._clock, self._rng, self._stop = resources.clock, resources.rng, resources.stop
        self._server_clock = ServerClock(workspace, resources.clock, as_of, as_of_given=as_of_given)
        # Failures are a metric's, since each has its own path; silence is the workspace's, since all have one host.
        self._silence = CircuitBreaker(failure_threshold=workspace.concurrency)
        self._metrics: dict[str, _MetricState] = {}
        self._lanes = self._make_lanes(resources)
        self._pending: set[PendingRequest] = set()
        self._halted = ""
        self._refused: dict[SeriesKey, str] = {}
        self._warned = self._warned_of_open = False

    async def collect(self, windows: Collection[Window], record: Record) -> None:
        """Give each window one outcome: answered, failed or, where the workspace stops first, skipped.

        Raises:
            ExceptionGroup: of what `record` raised, after everything else was cancelled. No failure of the API.

        """
        self.progress.planned += len(windows)
        if not windows:
            return
        if self._stop.requested:
            self._halt(self._stop.reason)
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._obey_stop())
            # The group ends with its last task, and `_obey_stop` waits for a stop that may never come. So it is
            # cancelled when all workers are done. If one of them raises, the group cancels the rest.
            await asyncio.wait(
                [
                    tasks.create_task(self._work(lane, queue, record))
                    for lane, queue, count in self._queues(windows)
                    for _ in range(min(self._workspace.concurrency, count))
                ]
            )
            stopping.cancel()

    def _make_lanes(self, resources: FetchResources) -> dict[str, _Lane]:
        """A lane for each quota of the wanted metrics."""
        rate, lanes = self._workspace.rate_limit, {}
        groups = {group.name: group for group in map(_quota_of, (each.name for each in self._workspace.metrics))}
        connections: Permits = resources.connections
        if len(groups) > 1:
            # The workers of all lanes are more than `concurrency`: what is in flight together is limited here.
            connections = BothPermits(asyncio.Semaphore(self._workspace.concurrency), connections)
        for group in groups.values():
            own = group.per_hour
            quota = Quota(own or rate.per_hour, rate.reserve, resources.rng.random, capped=own is None)
            # One progress is shown: that of the quota that most requests count against.
            name = self._workspace.name
            progress = self.progress if own is None or len(groups) == 1 else FetchProgress(f"{name} ({group.name})")
            lanes[group.name] = _Lane(RateLimiter(quota, resources.throttle, connections, self._clock, progress))
        return lanes

    def _queues(self, windows: Collection[Window]) -> Iterator[tuple[_Lane, Iterator[PendingRequest], int]]:
        """The windows of each lane, in order, and how many they are.

        All workers of a lane draw from one iterator. `next` has no await, so each window is drawn exactly once.
        """
        if len(self._lanes) == 1:
            yield next(iter(self._lanes.values())), map(PendingRequest, windows), len(windows)
            return
        counts = Counter(_quota_of(window.series.key.metric).name for window in windows)
        for name, count in counts.items():
            yield self._lanes[name], map(PendingRequest, _of_quota(windows, name)), count

    async def _work(self, lane: _Lane, queue: Iterator[PendingRequest], record: Record) -> None:
        while request := next(queue, None) or (lane.deferred.popleft() if lane.deferred else None):
            # Assigned to no variable: this frame would keep the points alive while it waits for the next ones.
            await self._record(lane, request, record)

    async def _record(self, lane: _Lane, request: PendingRequest, record: Record) -> None:
        outcome = await self._outcome(request)
        if outcome is None:
            lane.deferred.append(request)
        else:
            await record(outcome)

    async def _obey_stop(self) -> None:
        """On a stop, end all waits at once, and what is still in flight after the grace period."""
        await self._stop.wait()
        self._halt(self._stop.reason)
        await self._clock.sleep(self._stop.grace_seconds)
        for request in tuple(self._pending):
            request.cancel()

    async def _outcome(self, request: PendingRequest) -> Outcome | None:
        """The outcome; None for a window that is deferred to the end of the run."""
        if self._stopped(request.window):
            return self._cancelled(request)
        if self._waits_too_long(request) and request.error is not None:
            return self._failed(request, request.error)
        try:
            reply = await self._cancellable_reply(request)
            self._check_clocks(request, reply)
        except _DeferredError as deferral:
            return self._defer(request, deferral.error)
        except ApiError as error:
            self._note_failure(request, error)
            return self._failed(request, error)
        except TimeoutError:
            return self._cancelled(request)
        self._state(request.window).breaker.record_answer()
        self._silence.record_answer()
        self.progress.done += 1
        self.progress.rows += len(reply.points.buckets)
        log.debug(
            "%s: answered with %d points, attempt %d",
            request.window.series,
            len(reply.points.buckets),
            request.attempts,
        )
        return request.answered(reply, self._clock)

    def _check_clocks(self, request: PendingRequest, reply: Reply) -> None:
        """Raise an ApiError with the reply's headers where the answer must not be recorded."""
        try:
            self._server_clock.check(request.window, reply.headers.date)
        except ApiError as error:
            error.headers = reply.headers
            raise

    async def _cancellable_reply(self, request: PendingRequest) -> Reply:
        """The reply, in a scope that `request.cancel` ends with TimeoutError."""
        scope = request.scope = CancelScope()
        with scope:
            # Only inside the scope: a request in `_pending` can be cancelled at any moment.
            self._pending.add(request)
            try:
                if request.not_before is not None:
                    await self._clock.sleep(max(0.0, request.not_before - self._clock.monotonic()))  # deferred
                return await self._reply(request)
            finally:
                # However the request ends, the next window may go on trial: a trial that is never ended would block all
                # others.
                self._pending.discard(request)
                self._end_trial(request)

    async def _reply(self, request: PendingRequest) -> Reply:
        """As many attempts as `retry` allows. Raises the ApiError of the last one."""
        try:
            return await self._attempt(request)
        except RetryableError as error:
            # The first attempt is made without tenacity, which costs 55 us a call. It is entered with the failure of
            # that attempt, which it counts as its own first.
            failures = [error]

        async def attempt() -> Reply:
            if failures:
                raise failures.pop()
            return await self._attempt(request)

        def stopped() -> bool:
            return bool(self._open_reason(request.window) or self._stopped(request.window))

        return await retrying(self._workspace.retry, self._rng, self._clock.sleep, stopped)(attempt)

    async def _attempt(self, request: PendingRequest) -> Reply:
        """One attempt. A 429 is waited out within it: the limiter holds back the complete workspace."""
        while True:
            request.waiting = True
            # Before the limiter, whose turnstile must not be held by a window that waits for its trial. No request has
            # been counted yet.
            if self._state(request.window).breaker.half_open:
                await self._begin_trial(request)
            limiter = self._lanes[_quota_of(request.window.series.key.metric).name].limiter
            epoch = await limiter.acquire()
            request.begin_attempt(self._clock)
            self.progress.attempts += 1
            self.progress.in_flight += 1
            headers, refused = NO_HEADERS, False
            try:
                reply = await self._api.fetch(request.window)
                headers = reply.headers
            except ApiError as error:
                headers, refused = error.headers, isinstance(error, QuotaExhaustedError)
                if self._repeats_at_once(request, error):
                    continue
                self._note_attempt(request, error)
                if isinstance(error, RetryableError) and (headers.retry_after or 0) > self._workspace.retry.max_seconds:
                    raise _DeferredError(error) from None
                if not refused or request.pauses > MAX_PAUSES or self._stopped(request.window):
                    raise
            else:
                self._warn_once(request, reply.points.warning)
                return reply
            finally:
                # On every path, cancellation included, or the quota would count the request as in flight for good. One
                # that got no reply may have been counted by the server all the same.
                self.progress.in_flight -= 1
                limiter.release(epoch, headers, refused=refused)

    async def _begin_trial(self, request: PendingRequest) -> None:
        """So many attempts in a row failed that one window alone goes on trying; the others wait for its outcome.

        For its outcome, not for its next attempt: windows that took turns would send 32 times as many requests to a
        server that is down.
        """
        if request.on_trial:
            return
        state = self._state(request.window)
        await state.trial.acquire()
        request.on_trial = True
        # While this window waited, another one may have been answered. Then there is no trial any more, and the lock is
        # passed on at once, through all that wait for it.
        if not state.breaker.half_open:
            self._end_trial(request)

    def _end_trial(self, request: PendingRequest) -> None:
        if request.on_trial:
            request.on_trial = False
            self._state(request.window).trial.release()

    def _stopped(self, window: Window) -> str:
        """Why nothing more is sent for the window; empty while something is."""
        return (
            self._halted
            or self._state(window).halted
            or (self._refused.get(window.series.key, "") if self._refused else "")
        )

    def _state(self, window: Window) -> _MetricState:
        """What came of the window's metric so far."""
        name = window.series.key.metric
        state = self._metrics.get(name)
        if state is None:
            state = self._metrics[name] = _MetricState(CircuitBreaker(self._workspace.concurrency))
        return state

    def _open_reason(self, window: Window) -> str | None:
        """Why the workspace or the window's metric got nothing but failures; None while it goes on."""
        return self._silence.open_reason or self._state(window).breaker.open_reason

    def _halt_if_open(self, window: Window, error: ApiError) -> None:
        """Send nothing more for the workspace after a long silence, or for the metric after failures in a row."""
        if reason := self._silence.open_reason:
            self._halt(f"{reason}; last error: {error}")
        elif reason := self._state(window).breaker.open_reason:
            self._halt_metric(window, f"{reason}; last error: {error}")

    def _halt_metric(self, window: Window, reason: str) -> None:
        """Send nothing more for the window's metric; where no other is wanted, that is the workspace."""
        name, state = window.series.key.metric, self._state(window)
        if len(self._workspace.metrics) == 1:
            self._halt(reason)
        elif not state.halted:
            state.halted = f"{name}: {reason}"
            log.warning("%s: %s", self._workspace.name, state.halted)
            self._cancel_waiting(lambda key: key.metric == name)

    def _halt(self, reason: str) -> None:
        """Send nothing more for this workspace. The first reason stays."""
        if self._halted:
            return
        self._halted = self.progress.note = reason
        log.warning("%s: %s", self._workspace.name, reason)
        # Only waits are ended. Requests in flight count against the quota already, so their answers are still accepted.
        self._cancel_waiting()

    def _cancel_waiting(self, ended: Callable[[SeriesKey], bool] = lambda _: True) -> None:
        """End the waits of all requests of the series that have ended, so that none passes the limiter any more."""
        for request in tuple(self._pending):
            if request.waiting and ended(request.window.series.key):
                request.cancel()

    def _defer(self, request: PendingRequest, error: ApiError) -> Outcome | None:
        """The server wants a longer wait than `retry.max_seconds`: try the window once more at the end of the run.

        It counts as a failed window for the breaker, so that a server which answers all requests that way stops the
        workspace. If the wait is not over soon after the end of the other windows, the next run requests the window.
        """
        now, wait = self._clock.monotonic(), error.headers.retry_after or 0.0
        first = request.not_before is None
        request.not_before = now + wait
        self._state(request.window).breaker.record_failed_window()
        if self._open_reason(request.window):
            self._halt_if_open(request.window, error)
        elif first:
            log.warning("%s: deferred, the server wants a wait of %.0f s: %s", request.window.series, wait, error)
            return None
        return self._failed(request, error)

    def _failed(self, request: PendingRequest, error: ApiError) -> Outcome:
        self.progress.failed += 1
        return request.failed(error, self._clock)

    def _waits_too_long(self, request: PendingRequest) -> bool:
        """Whether the wait of a deferred window ends later than a backoff may."""
        now, longest = self._clock.monotonic(), self._workspace.retry.max_seconds
        return request.not_before is not None and request.not_before - now > longest

    def _cancelled(self, request: PendingRequest) -> Outcome:
        outcome = request.cancelled(self._stopped(request.window), self._clock)
        if isinstance(outcome, Skipped):
            self.progress.skipped += 1
        else:
            self.progress.failed += 1
        return outcome

    def _repeats_at_once(self, request: PendingRequest, error: ApiError) -> bool:
        """Whether the request was lost on a connection that the server had closed: it is repeated without a backoff.

        That says nothing about server or window, so it counts as no failure. Once a window: from then on connections
        are not kept.
        """
        if not isinstance(error, ConnectionLostError) or request.lost or self._stopped(request.window):
            return False
        request.lost = request.waiting = True
        request.error = error.without_traceback()
        return True

    def _note_attempt(self, request: PendingRequest, error: ApiError) -> None:
        """What an attempt's failure means for the workspace."""
        request.waiting = True
        # The error is kept through the backoff; frames of its traceback would keep the reply's body in memory.
        request.error = error.without_traceback()
        if error.http_status is None:
            self._silence.record_no_reply(self._clock.monotonic())
        else:
            self._silence.record_reply()
        if isinstance(error, RetryableError):
            self._state(request.window).breaker.record_failed_attempt()
        elif isinstance(error, QuotaExhaustedError):
            request.pauses += 1
        log.debug("%s: attempt %d: %s", request.window.series, request.attempts, error)

    def _note_failure(self, request: PendingRequest, error: ApiError) -> None:
        """What a window's failure means for the other windows."""
        series, breaker = request.window.series, self._state(request.window).breaker
        if isinstance(error, WorkspaceRefusedError):
            self._halt(f"workspace stopped: {error}")
        elif isinstance(error, MetricRefusedError):
            self._halt_metric(request.window, f"stopped: {error}")
        elif isinstance(error, SeriesRefusedError):
            if series.key not in self._refused:
                log.warning("%s: series refused: %s", series, error)
                breaker.record_refused_series()
            # Checked before each window, so the later ones of this series are skipped.
            self._refused[series.key] = f"series refused: {error}"
            self._cancel_waiting(lambda key: key == series.key)
        elif isinstance(error, NotClosedError):
            # The server answers, so this is no failure of it. Many windows may fail like this: one line says why.
            log.log(logging.DEBUG if self._warned_of_open else logging.WARNING, "%s: %s", series, error)
            self._warned_of_open = True
            breaker.record_answer()
        else:
            log.warning("%s: failed after %d attempts: %s", series, request.attempts, error)
            breaker.record_failed_window()
        self._halt_if_open(request.window, error)

    def _warn_once(self, request: PendingRequest, warning: str | None) -> None:
        """A success with `errors` beside it is an answer, as the reference page says; it is logged once a run."""
        if warning:
            level = logging.DEBUG if self._warned else logging.WARNING
            self._warned = True
            log.log(level, "%s: answered; the response also has errors: %s", request.window.series, warning)
