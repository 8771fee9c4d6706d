from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from collector.simulator.options import Fault, Faults, Options
from collector.simulator.server import running
from collector.simulator.simulation import Simulation
from tests.support.builders import NOW
from tests.support.night import Night, make_document, make_segments

if TYPE_CHECKING:
    from collections.abc import Iterator

# Characters that are written in another way in URLs, in JSON and in reprs.
PLANTED = "s3cr3t/K+y&=%\\-0b9d"
GUISES = [PLANTED, quote(PLANTED, safe=""), quote(PLANTED), PLANTED.replace("\\", "\\\\"), ascii(PLANTED)[1:-1]]


@contextmanager
def serving(night: Night, *, denied: bool, faults: Faults) -> Iterator[None]:
    """The stand-in, which knows the planted key, or (denied) echoes it in a refusal."""
    workspaces = night.settings().workspaces
    known = workspaces if not denied else [replace(each, api_key=None) for each in workspaces]
    with running(Simulation(known, Options(), now=NOW, faults=faults)) as url:
        for workspace in night.document["workspaces"]:
            workspace["endpoint"] = url
        night.write()
        yield


class PlantedNight(Night):
    """A night whose key is the planted one."""

    @property
    def environ(self) -> dict[str, str]:
        return {"KEY_ACME": PLANTED}

    def program(self, *arguments: str) -> str:
        """Run it as a process; gives all that it said, on stdout and stderr."""
        result = subprocess.run(
            [sys.executable, "-m", "collector", "--config", str(self.config), *arguments],
            env={**self.environ, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        return (result.stdout + result.stderr).decode()

    def written(self) -> str:
        """Every byte under the folder, and what the Parquet files hold."""
        texts = []
        for path in self.folder.rglob("*"):
            if path.is_file():
                texts.append(path.read_bytes().decode("latin-1"))
                texts.append(path.read_bytes().decode("utf-8", "replace"))
            if path.suffix == ".parquet":
                file = pq.ParquetFile(path)
                texts.append(f"{file.read().to_pylist()} {file.metadata.metadata}")
        return "\n".join(texts)


@pytest.mark.parametrize(
    ("auth", "log_format", "denied"),
    [("header", "text", False), ("query", "json", False), ("header", "json", True), ("query", "text", True)],
)
def test_a_key_appears_nowhere(tmp_path: Path, auth: str, log_format: str, denied: bool) -> None:
    """With every fault on and all logs printed, the key is in no log, error, report, table or file."""
    rates = dict.fromkeys((Fault("500"), Fault("503"), Fault("reset"), Fault("cut"), Fault("html")), 0.1)
    defaults: dict[str, Any] = {"auth": auth, "start": "2026-11-01"}
    night = PlantedNight(
        tmp_path, make_document("http://127.0.0.1:1", {"name": "acme", "segments": make_segments(3)}, **defaults)
    )
    with serving(night, denied=denied, faults=Faults(rates=rates, first_attempts=2)):
        options = ["-vv", "--log-format", log_format]
        said = night.program(*options, "run", "--json", "--as-of", NOW.isoformat())
        said += night.program(*options, "plan", "--as-of", NOW.isoformat()) + night.program(*options, "validate")
    # Nobody listens any more: refused connections, whose errors would name the URL.
    said += night.program("-vv", "run", "--as-of", "2026-12-01T00:00:00Z", "--max-requests", "2")
    assert ("HTTP 401" in said) == denied
    everything = said + night.written()
    assert [guise for guise in GUISES if guise in everything] == []


def test_a_key_is_in_no_process_list(tmp_path: Path) -> None:
    """While the collector runs, its command line does not hold the key."""
    night = PlantedNight(tmp_path, make_document("http://127.0.0.1:1", {"name": "acme"}, start="2026-11-01"))
    command = [sys.executable, "-m", "collector", "--config", str(night.config), "validate"]
    with subprocess.Popen(command, env=night.environ, stdout=subprocess.DEVNULL) as process:
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
        process.wait(30)
    assert not any(PLANTED.encode() in line for line in lines)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_ids_and_names_never_leave_the_lake(tmp_path: Path) -> None:
    """Ids and names that look like paths are values in the tables, and no file lies outside the lake's own paths."""
    nasty = "../../outside/../x%2f..\\y"
    document = make_document(
        "http://127.0.0.1:1", {"name": "acme", "apps": [{"name": nasty, "id": nasty}]}, units=["day"]
    )
    night = Night(tmp_path / "inside", document)
    with running(Simulation(night.settings().workspaces, now=NOW)) as url:
        night.document["workspaces"][0]["endpoint"] = url
        night.write()
        assert night.run(NOW).exit_code == 0
    assert night.query("SELECT DISTINCT app, app_id FROM {sessions_app_daily}") == [(nasty, nasty)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside"]
    assert sorted(path.name for path in night.folder.iterdir()) == ["collector.yaml", "lake"]


def test_a_crash_shows_no_key(tmp_path: Path) -> None:
    """A bug that no command expects ends with a traceback, in which the key is replaced."""
    night = PlantedNight(tmp_path, make_document("http://127.0.0.1:1", {"name": "acme"}, start="2026-11-01"))
    crash = f"""
import sys
import collector.commands
def run_collection(*_):
    raise KeyError("http://h/x?api_key=" + {PLANTED[::-1]!r}[::-1] + " " + {PLANTED.upper()[::-1]!r}[::-1])
collector.commands.run_collection = run_collection
sys.argv = ["collector", "--config", {str(night.config)!r}, "run"]
from collector.__main__ import main
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", crash], env={**night.environ, "PATH": "/usr/bin:/bin"}, capture_output=True, check=False
    )
    said = result.stderr.decode()
    assert result.returncode == 1
    assert "KeyError" in said
    assert "api_key=***" in said
    assert [guise for guise in [*GUISES, PLANTED.upper()] if guise in said] == []
