"""The endpoint as a question: a window in, points out, or an error whose class says what to do.

One `Api` a workspace. It sends each request once: pacing, pool and retries are the lane's. What is made anew for every
request, here and in the modules it uses, is a named tuple: immutable, and made in a third of a dataclass's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from collector.api.decode import Decoder, Points
from collector.api.errors import ApiError
from collector.api.headers import SILENT, ReplyHeaders, read
from collector.api.judge import judge
from collector.api.redact import Redactor
from collector.api.request import RequestBuilder

if TYPE_CHECKING:
    from collector.api.transport import Transport
    from collector.clock import Clock
    from collector.config.settings import Workspace
    from collector.model import Window


class Reply(NamedTuple):
    """An answer: points of the window, and what its headers told."""

    points: Points
    http_status: int
    headers: ReplyHeaders


class Api:
    """Asks one workspace."""

    def __init__(self, workspace: Workspace, transport: Transport, clock: Clock) -> None:
        self._requests = RequestBuilder(workspace)
        self._transport = transport
        self._clock = clock
        self._decoder = Decoder(workspace.timezone, workspace.naive_hours)
        self._redactor = Redactor(workspace.api_key)

    async def ask(self, window: Window) -> Reply:
        """Ask once.

        Raises:
            ApiError: one of its four kinds; its text is one line without the key, its `headers` those of the reply.

        """
        headers, status = SILENT, None
        try:
            response = await self._transport.get(self._requests.build(window))
            headers, status = read(response.headers, self._clock.now()), response.status
            refusal = judge(status, response.headers, response.body)
            if refusal is None:
                return Reply(self._points(response.body, window), status, headers)
        except ApiError as error:
            refusal = error
        refusal.args = (self._redactor.clean(str(refusal)),)
        refusal.headers = headers
        refusal.http_status = refusal.http_status or status
        raise refusal

    def _points(self, body: bytes, window: Window) -> Points:
        points = self._decoder.decode(body, window)
        return points if points.warning is None else points._replace(warning=self._redactor.clean(points.warning))
