"""The machine that figures are measured on: its cores and who runs on which, its versions, how busy it is."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / ".bench"
"""Everything that the bench makes: environments, lakes, results. Git ignores it."""

MEASURED_WITH = ("aiohttp", "orjson", "pyarrow", "pydantic", "tenacity")


if not hasattr(os, "sched_getaffinity"):
    sys.exit("the bench reads /proc and pins processes to cores: it needs Linux")
CORES = os.sched_getaffinity(0)
SERVER_CORE = min(CORES)
"""Where servers run, and the bench itself."""
CLIENT_CORE = max(CORES)
"""Where what is measured runs: another core than the server's, where there is one."""


def stay_off_the_client_core() -> None:
    """Move the bench to the servers' core, so that it does not disturb what it measures."""
    os.sched_setaffinity(0, {SERVER_CORE})


def open_files(pid: int) -> int:
    """How many files and sockets a process has open; 0 where it has ended."""
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # a count alone, without a path for each
    return 0


def load() -> float:
    """How many processes have wanted a core in the last minute."""
    return os.getloadavg()[0]


def described() -> dict[str, str]:
    """What a reader needs to judge the figures."""
    return {
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": str(len(CORES)),
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "nginx": _nginx(),
        **{name: version(name) for name in MEASURED_WITH},
    }


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _nginx() -> str:
    if shutil.which("nginx") is None:
        return "absent"
    report = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return report.strip().rpartition("/")[2]
