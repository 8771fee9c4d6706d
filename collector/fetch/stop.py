"""The signal that ends a run early: a deadline, or SIGTERM or SIGINT. Made once, handed to every lane."""

from __future__ import annotations

import asyncio


class StopRequest:
    """`grace_seconds`: how long what is in flight may take to finish once a stop is requested.

    To be used from the event loop's thread alone; a signal handler goes through `loop.add_signal_handler`.
    """

    def __init__(self, grace_seconds: float = 10.0) -> None:
        self.grace_seconds = grace_seconds
        self.reason = ""
        """Why, in a few words that end up in the outcome of each window not sent; empty until requested."""
        self.exit_code: int | None = None
        """130 or 143 where a signal ended the run."""
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._event.is_set()

    def request(self, reason: str, exit_code: int | None = None) -> None:
        """End the run. The first reason stays; a signal gives the code that the process is to exit with."""
        self.exit_code = self.exit_code or exit_code
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    async def wait(self) -> None:
        """Wait until a stop is requested."""
        await self._event.wait()
