"""A test double that ships with the package: a transport without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.api.transport import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collector.api.request import Request


class FakeTransport:
    """A transport for tests and simulations: a function answers, at once or as a coroutine that may wait and raise."""

    def __init__(self, handler: Callable[[Request], Response | Awaitable[Response]]) -> None:
        self._handler = handler

    async def get(self, request: Request) -> Response:
        """What the handler returns for the request."""
        response = self._handler(request)
        if isinstance(response, Response):
            return response
        return await response
