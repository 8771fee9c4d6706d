"""A script as one writes it: requests, one after another, dicts into a pandas frame, one Parquet file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
import requests


def main() -> None:
    """Land every row as one Parquet file in the folder."""
    url, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    rows = []
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {os.environ['BENCH_KEY']}"
        for number in range(count):
            series = {"app_id": f"a{number // 250}", "segment_id": f"s{number % 250}"}
            parameters: dict[str, str | int] = {"length": 100, "unit": "hour", **series}
            answer = session.get(f"{url}/sessions/data_series", params=parameters, timeout=30).json()
            rows += [{**series, **point} for point in answer["data"]]
    frame = pd.DataFrame(rows)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    frame.to_parquet(folder / "rows.parquet", index=False)


if __name__ == "__main__":
    main()
