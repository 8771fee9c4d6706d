from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from collector.simulator.options import Options
from tests.support.night import make_apps
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path

WORKSPACES = 40
"""With a connection for each series, these need more than the limits below: 1,080 and 400."""

RECENT: dict[str, Any] = {"lookback": {"day": 2, "hour": 2}}


@pytest.mark.parametrize(("open_files", "series", "warned"), [(1024, 27, False), (256, 10, True)])
def test_many_workspaces_fit_into_the_limit_of_open_files(
    tmp_path: Path, open_files: int, series: int, warned: bool
) -> None:
    """Forty workspaces land the truth under Linux's default of 1,024 open files, and under macOS's of 256."""
    workspaces = [{"name": f"w{number}", "apps": make_apps(series)} for number in range(WORKSPACES)]
    site = Site(
        tmp_path, *workspaces, options=Options(latency_ms=(10.0, 30.0)), scopes=["app"], units=["day"], **RECENT
    )
    command = f'ulimit -n {open_files}; exec "{sys.executable}" -m collector --config "{site.night.config}" "$@"'
    with site.served():
        as_of = site.simulation.now.isoformat()
        ended = subprocess.run(
            ["sh", "-c", command, "sh", "run", "--json", "--as-of", as_of],
            env={**os.environ, **site.night.environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["windows_ok"], report["windows_failed"]) == (WORKSPACES * series, 0)
    assert site.night.rows() == site.truth()
    assert ("ulimit -n" in ended.stderr) == warned
