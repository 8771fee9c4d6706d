"""airbyte-cdk: a declarative source, one request a series by a list of partitions, records to standard output."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from airbyte_cdk.entrypoint import AirbyteEntrypoint, launch
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}
_SCHEMA = {"type": "object", "properties": {"time": _TEXT, "sessions": _NUMBER, "series": _TEXT}}
_SERIES = {"path": ["series"], "value": "{{ stream_partition.series }}", "value_type": "string"}
_CATALOG = {
    "streams": [
        {
            "stream": {"name": "sessions", "json_schema": _SCHEMA, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "append",
        }
    ]
}


def manifest(url: str, requests: int) -> dict[str, object]:
    """The source, as its low-code format has it."""
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["sessions"]},
        "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": 32, "max_concurrency": 32},
        "streams": [stream(url, requests)],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }


def stream(url: str, requests: int) -> dict[str, object]:
    """One request for each series of a list, all of the answer's `data` as records with the series' id."""
    return {
        "type": "DeclarativeStream",
        "name": "sessions",
        "schema_loader": {"type": "InlineSchemaLoader", "schema": _SCHEMA},
        "retriever": {
            "type": "SimpleRetriever",
            "requester": requester(url),
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
            },
            "partition_router": {
                "type": "ListPartitionRouter",
                "values": [f"a{number // 250}:s{number % 250}" for number in range(requests)],
                "cursor_field": "series",
            },
        },
        "transformations": [{"type": "AddFields", "fields": [_SERIES]}],
    }


def requester(url: str) -> dict[str, object]:
    """The request for one series."""
    return {
        "type": "HttpRequester",
        "url_base": url,
        "path": "/sessions/data_series",
        "http_method": "GET",
        "authenticator": {"type": "BearerAuthenticator", "api_token": os.environ["BENCH_KEY"]},
        "request_parameters": {
            "length": "100",
            "unit": "hour",
            "app_id": "{{ stream_partition.series.split(':')[0] }}",
            "segment_id": "{{ stream_partition.series.split(':')[1] }}",
        },
    }


def main() -> None:
    """Print every record."""
    url, requests, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    (folder / "config.json").write_text("{}")
    (folder / "catalog.json").write_text(json.dumps(_CATALOG))
    arguments = ["read", "--config", str(folder / "config.json"), "--catalog", str(folder / "catalog.json")]
    catalog = ConfiguredAirbyteCatalogSerializer.load(_CATALOG)
    source = ConcurrentDeclarativeSource(catalog, {}, None, source_config=manifest(url, requests))
    AirbyteEntrypoint.parse_args(arguments)
    launch(source, arguments)


if __name__ == "__main__":
    main()
