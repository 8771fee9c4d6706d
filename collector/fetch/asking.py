"""Asks for one window until there is an answer or no more is to be tried: gate, attempt, backoff, attempt.

In: an errand. Out: the reply, or the last error. Never here: what an error means for other windows (`lane.py`).
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from collector.api.errors import ApiError, AskAgainError, PoolEmptyError
from collector.api.headers import SILENT, ReplyHeaders
from collector.fetch.retry import retrying

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from collector.api.client import Api, Reply
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.fetch.breaker import Breaker
    from collector.fetch.errand import Errand
    from collector.fetch.gate import Gate
    from collector.fetch.progress import LaneProgress
    from collector.model import Window

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
        api: Api,
        gate: Gate,
        breaker: Breaker,
        clock: Clock,
        rng: Random,
        progress: LaneProgress,
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

    async def ask(self, errand: Errand) -> Reply:
        """Ask as often as the config's `retry` has it, or until the lane is to stop.

        Raises:
            ApiError: the last one, where all attempts failed or none more is of use.
            HaltedError: where meanwhile nothing more is to be sent.

        """
        try:
            return await self._attempt(errand)
        except AskAgainError:
            policy = retrying(self._workspace.retry, self._rng, self._clock.sleep, lambda: bool(self._breaker.tripped))
            return await policy(self._again, errand)
        finally:
            self._end_probation(errand)

    async def _again(self, errand: Errand) -> Reply:
        """For tenacity, whose first attempt is the one that has failed already."""
        if not errand.replayed and errand.error is not None:
            errand.replayed = True
            raise errand.error
        return await self._attempt(errand)

    async def _attempt(self, errand: Errand) -> Reply:
        """One attempt; 429s are waited out within it."""
        while True:
            turn = await self._pass(errand)
            told, refused = SILENT, False
            try:
                reply = await self._api.ask(errand.window)
                told = reply.headers
            except ApiError as error:
                told, refused = error.headers, isinstance(error, PoolEmptyError)
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

    async def _pass(self, errand: Errand) -> int:
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

    def _note(self, errand: Errand, error: ApiError) -> None:
        errand.waiting = True
        errand.error = error.lean()
        if error.http_status is None:
            self._breaker.heard_nothing(self._clock.monotonic())
        else:
            self._breaker.heard()
        if isinstance(error, AskAgainError):
            self._breaker.attempt_failed()
        elif isinstance(error, PoolEmptyError):
            errand.pauses += 1
        log.debug("%s: attempt %d: %s", errand.window.series, errand.attempts, error)

    async def _begin_probation(self, errand: Errand) -> None:
        """So much failed in a row that one window alone goes on trying; the others wait for what becomes of it."""
        if errand.probation:
            return
        await self._probation.acquire()
        errand.probation = True
        if not self._breaker.probation:
            self._end_probation(errand)

    def _end_probation(self, errand: Errand) -> None:
        if errand.probation:
            errand.probation = False
            self._probation.release()

    def _warn(self, errand: Errand, warning: str) -> None:
        """A success with `errors` beside it is an answer, since the page says so of `success`; told once a lane."""
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        log.log(level, "%s: answered, with errors beside it: %s", errand.window.series, warning)

    def _check_clock(self, told: ReplyHeaders) -> None:
        """Once a lane: what is closed, and when the pool refills, is reckoned by this machine's clock."""
        self._clock_checked = True
        skew = self._clock.now() - told.date if told.date is not None else timedelta()
        if abs(skew) > _TOLERATED_SKEW:
            side = "ahead of" if skew > timedelta() else "behind"
            text = (
                "%s: this machine's clock is %d s %s the server's: set it, or buckets are asked for at the wrong time"
            )
            log.warning(text, self._workspace.name, round(abs(skew).total_seconds()), side)
