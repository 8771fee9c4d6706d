"""The collector with another bound for its journal: `python -m scripts.bench.bounded KIB`, then its own arguments.

A journal is landed in mid-run when it has grown to 64 MiB, which no backfill of a bench's length fills.
"""

from __future__ import annotations

import sys
from unittest.mock import patch

from collector import commands
from collector.__main__ import main
from collector.lake.recorder import RecorderLimits

if __name__ == "__main__":
    bounds = RecorderLimits(land_bytes=int(sys.argv.pop(1)) * 1024)
    with patch.object(commands, "RecorderLimits", lambda: bounds):
        main()
