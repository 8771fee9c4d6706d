"""The collector with a smaller journal: `python -m scripts.bench.small_journal KIB`, then its arguments.

A journal that reaches 64 MiB is landed during the run. No backfill of the bench reaches that size.
"""

from __future__ import annotations

import sys
from unittest.mock import patch

from collector import commands
from collector.__main__ import main
from collector.lake.recorder import RecorderLimits

if __name__ == "__main__":
    limits = RecorderLimits(land_bytes=int(sys.argv.pop(1)) * 1024)
    with patch.object(commands, "RecorderLimits", lambda: limits):
        main()
