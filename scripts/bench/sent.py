"""When requests went out, by the collection log: `python -m scripts.bench.sent LAKE` prints figures as JSON.

`even`: requests within the whole seconds from the first one on, and how many seconds that is. So the end of the run,
where there is nothing left to send, is not held against its pace.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def main() -> None:
    """Print the figures."""
    files = sorted(Path(sys.argv[1]).glob("collection_log/**/*.parquet"))
    instants = pa.chunked_array(
        [pq.read_table(file, partitioning=None)["requested_at"].combine_chunks() for file in files]
    )
    seconds = sorted(microseconds / 1e6 for microseconds in instants.cast(pa.int64()).to_pylist())
    whole = int(seconds[-1] - seconds[0])
    busiest = max(bisect_left(seconds, since + 1.0) - place for place, since in enumerate(seconds))
    print(json.dumps({"even": bisect_left(seconds, seconds[0] + whole), "seconds": whole, "busiest": busiest}))


if __name__ == "__main__":
    main()
