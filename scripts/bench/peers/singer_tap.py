"""singer-sdk: a tap with one REST stream, one request a partition, records to standard output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream, Tap
from singer_sdk import typing as types
from singer_sdk.streams import RESTStream

if TYPE_CHECKING:
    from collections.abc import Mapping

URL, REQUESTS = sys.argv[1], int(sys.argv[2])


class Sessions(RESTStream[Any]):
    """The counts of every series."""

    name = "sessions"
    path = "/sessions/data_series"
    records_jsonpath = "$.data[*]"
    url_base = URL
    state_partitioning_keys: ClassVar[list[str]] = []  # no bookmark a series: what would be compared grows with them
    schema: ClassVar[dict[str, Any]] = types.PropertiesList(
        types.Property("time", types.StringType),
        types.Property("sessions", types.IntegerType),
        types.Property("app_id", types.StringType),
        types.Property("segment_id", types.StringType),
    ).to_dict()

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """One a series."""
        return [{"app_id": f"a{number // 250}", "segment_id": f"s{number % 250}"} for number in range(REQUESTS)]

    @property
    def http_headers(self) -> dict[str, str]:
        """The key."""
        return {"Authorization": f"Bearer {os.environ['BENCH_KEY']}"}

    def get_url_params(self, context: Mapping[str, Any] | None, next_page_token: object) -> dict[str, Any]:  # noqa: ARG002  # the kit's signature
        """The query of one series."""
        return {"length": 100, "unit": "hour", **(context or {})}


class TapSessions(Tap):
    """The tap."""

    name = "tap-sessions"
    config_jsonschema: ClassVar[dict[str, Any]] = types.PropertiesList().to_dict()

    def discover_streams(self) -> list[Stream]:
        """Its one stream."""
        return [Sessions(tap=self)]


def main() -> None:
    """Print every record."""
    TapSessions(config={}).sync_all()


if __name__ == "__main__":
    main()
