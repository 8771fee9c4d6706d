"""dlt: its declarative REST source, one request a series, `parallelized`, to Parquet on the filesystem destination."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

FOLDER = Path(sys.argv[3]).resolve()
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DLT_DATA_DIR": str(FOLDER / "dlt"),
    "EXTRACT__WORKERS": "32",
    "EXTRACT__MAX_PARALLEL_ITEMS": "64",
}

import dlt  # noqa: E402  # reads the environment
from dlt.sources.rest_api import rest_api_source  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


SESSIONS = {
    "name": "sessions",
    "include_from_parent": ["app_id", "segment_id"],
    "parallelized": True,
    "endpoint": {
        "path": "sessions/data_series",
        "params": {
            "length": 100,
            "unit": "hour",
            "app_id": "{resources.series.app_id}",
            "segment_id": "{resources.series.segment_id}",
        },
        "data_selector": "data",
        "paginator": "single_page",
    },
}


@dlt.resource(name="series", selected=False)
def series() -> Iterator[list[dict[str, str]]]:
    """What is asked for."""
    yield [{"app_id": f"a{number // 250}", "segment_id": f"s{number % 250}"} for number in range(int(sys.argv[2]))]


def main() -> None:
    """Land every row as Parquet under the folder."""
    client = {"base_url": f"{sys.argv[1]}/", "auth": {"type": "bearer", "token": os.environ["BENCH_KEY"]}}
    source = rest_api_source({"client": client, "resources": [series, SESSIONS]})
    destination = dlt.destinations.filesystem(bucket_url=(FOLDER / "rows").as_uri())
    pipeline = dlt.pipeline("sessions", destination=destination, dataset_name="sessions")
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()


if __name__ == "__main__":
    main()
