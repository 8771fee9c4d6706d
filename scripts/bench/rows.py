"""Counts what has landed, in a process of its own: `python -m scripts.bench.rows FOLDER PATTERN` prints JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq


def main() -> None:
    """Rows, files and bytes of the Parquet files in the folder that match."""
    files = sorted(Path(sys.argv[1]).glob(sys.argv[2]))
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    print(json.dumps({"rows": rows, "files": len(files), "bytes": sum(file.stat().st_size for file in files)}))


if __name__ == "__main__":
    main()
