"""The request to end a run early: a deadline, SIGTERM or SIGINT. Made once a run, and given to every workspace."""

from __future__ import annotations

import asyncio


class StopRequest:
    """`grace_seconds`: how long requests in flight may take to finish once a stop is requested.

    For the event loop's thread only: a signal handler goes through `loop.add_signal_handler`.
    """

    def __init__(self, grace_seconds: float = 10.0) -> None:
        self.grace_seconds = grace_seconds
        self.reason = ""
        """Why, in a few words, for the outcome of each window that is not sent; empty until a stop is requested."""
        self.exit_code: int | None = None
        """130 or 143 where a signal ended the run."""
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether no more requests are sent."""
        return self._event.is_set()

    def request(self, reason: str, exit_code: int | None = None) -> None:
        """End the run. The first reason stays. A signal also gives the exit code of the process."""
        self.exit_code = self.exit_code or exit_code
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    async def wait(self) -> None:
        """Wait until a stop is requested."""
        await self._event.wait()
