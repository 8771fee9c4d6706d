"""Figures read from a lake, in a process of their own so that the bench stays small; printed as JSON.

`python -m scripts.bench.counts files FOLDER PATTERN`: rows, files and bytes of the Parquet files that match.
`python -m scripts.bench.counts landings LAKE`: landings of which data files are left.
`python -m scripts.bench.counts sent LAKE`: when requests were sent, from the collection log.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from collector.lake.partition import LANDING

if TYPE_CHECKING:
    from collections.abc import Callable


def files(folder: str, pattern: str) -> dict[str, int]:
    """Rows, files and bytes of the Parquet files in the folder that match."""
    found = sorted(Path(folder).glob(pattern))
    rows = sum(pq.read_metadata(file).num_rows for file in found)
    return {"rows": rows, "files": len(found), "bytes": sum(file.stat().st_size for file in found)}


def landings(lake: str) -> dict[str, int]:
    """How many landings the footers of the data files name: all but those whose files were replaced since."""
    found = Path(lake).glob("sessions_*/**/*.parquet")
    return {"landings": len({pq.read_metadata(file).metadata[LANDING.encode()] for file in found})}


def sent(lake: str) -> dict[str, int]:
    """`even`: requests within the full seconds after the first request; `seconds`: the number of these seconds.

    The last part of a second is not counted: there is nothing left to send. `busiest`: most requests in any second.
    """
    logs = sorted(Path(lake).glob("collection_log/**/*.parquet"))
    instants = pa.chunked_array(
        [pq.read_table(file, partitioning=None)["requested_at"].combine_chunks() for file in logs]
    )
    times = sorted(microseconds / 1e6 for microseconds in instants.cast(pa.int64()).to_pylist())
    seconds = int(times[-1] - times[0])
    busiest = max(bisect_left(times, start + 1.0) - index for index, start in enumerate(times))
    return {"even": bisect_left(times, times[0] + seconds), "seconds": seconds, "busiest": busiest}


_COUNTS: dict[str, Callable[..., dict[str, int]]] = {"files": files, "landings": landings, "sent": sent}

if __name__ == "__main__":
    print(json.dumps(_COUNTS[sys.argv[1]](*sys.argv[2:])))
