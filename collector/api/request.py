"""A window as the request that the reference page describes. Pure: no network, no clock.

In: a workspace's endpoint, key and zone, and a window of one of its series. Out: URL and headers.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

from yarl import URL

from collector import __version__
from collector.buckets import request_end
from collector.config.settings import Auth, Workspace
from collector.metrics import METRICS, Metric
from collector.model import Span, Unit, Window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

USER_AGENT = f"braze-session-collector/{__version__}"


class Request(NamedTuple):
    """A GET. `timeout_seconds` limits all of it, from the connection to the end of the body."""

    url: URL
    headers: Mapping[str, str]
    timeout_seconds: float = 30.0

    def __repr__(self) -> str:
        """Without URL and headers, which may hold the key."""
        return f"Request(timeout_seconds={self.timeout_seconds})"


class _Series(NamedTuple):
    """What the requests of a metric have in common: the path, and for each unit its parameter."""

    path: str
    units: Mapping[Unit, str]

    @classmethod
    def of(cls, metric: Metric, root: str) -> _Series:
        """For an endpoint whose own path is `root`."""
        several = len(metric.units) > 1
        return cls(f"{root}{metric.path}", {unit: f"&unit={unit}" if several else "" for unit in metric.units})


class RequestBuilder:
    """Builds the requests of one workspace. What they have in common is made once."""

    def __init__(self, workspace: Workspace) -> None:
        key = workspace.api_key.reveal() if workspace.api_key is not None else ""
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
        self._scheme, self._host, root, *_ = urlsplit(workspace.endpoint.rstrip("/"))
        self._metrics = {name: _Series.of(metric, root) for name, metric in METRICS.items()}
        self._key = ""
        if workspace.auth is Auth.HEADER:
            headers["Authorization"] = f"Bearer {key}"
        else:
            self._key = f"api_key={_encoded(key)}&"
        self._headers = MappingProxyType(headers)
        self._zone = workspace.timezone
        self._timeout = workspace.timeout_seconds

    def build(self, window: Window) -> Request:
        """The request for a window of this workspace.

        Reference pages: `length` is 1 to 100, `unit` is day or hour (series that are by days alone have no such
        parameter), `ending_at` an ISO 8601 instant, `app_id` and `segment_id` limit the series, `event` is its event.
        `ending_at` is the last second of the last bucket: whether it is read as inclusive or exclusive, the same bucket
        is meant.
        """
        key, span = window.series.key, window.span
        path, units = self._metrics[key.metric]
        length = span.stop - span.first
        query = f"{self._key}length={length}{units[key.unit]}&ending_at={_ending(key.unit, span.stop, self._zone)}"
        if key.app_id is not None:
            query += f"&app_id={_encoded(key.app_id)}"
        if key.segment_id is not None:
            query += f"&segment_id={_encoded(key.segment_id)}"
        if key.event is not None:
            query += f"&event={_encoded(key.event)}"
        # Already encoded: the client would otherwise normalize it again, and send the `+` of an offset unescaped.
        url = URL(SplitResult(self._scheme, self._host, path, query, ""), encoded=True)
        return Request(url, self._headers, self._timeout)


@lru_cache(maxsize=4096)
def _encoded(text: str) -> str:
    return quote(text, safe="")


@lru_cache(maxsize=1024)
def _ending(unit: Unit, stop: int, zone: ZoneInfo) -> str:
    # All series of a span are requested one after another, so this is computed once a span.
    return quote(request_end(unit, Span(stop - 1, stop), zone).isoformat(), safe=":")
