from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import collector
from collector.simulator.options import Fault, Faults
from tests.support.program import Program
from tests.support.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One workspace with one app, by day."""
    site = Site(tmp_path_factory.mktemp("surface"), {"name": "acme", "units": ["day"]}, start="2026-11-20")
    with site.served():
        yield site


def bare(site: Site, *arguments: str, **environ: str) -> Program:
    """Start the program without `--config`."""
    return Program(list(arguments), site.night, environ)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Commands:"),
        (["collect"], 2, "No such command"),
        (["run", "--jsn"], 2, "No such option"),
        (["run", "--max-requests", "-1"], 2, "--max-requests"),
        (["run", "--deadline", "-5s"], 2, "deadline"),
        (["run", "--log-format", "xml"], 2, "json"),
        (["--config", "nowhere.yaml", "validate"], 2, "nowhere.yaml"),
    ],
)
def test_a_wrong_command_line_exits_2(site: Site, arguments: list[str], code: int, said: str) -> None:
    """No command, an unknown one, an unknown option, an invalid value: reported on stderr, with nothing on stdout."""
    with bare(site, *arguments) as program:
        assert (program.wait(), program.stdout) == (code, "")
    assert said in program.stderr
    assert "Traceback" not in program.stderr


def test_the_module_is_the_program(site: Site) -> None:
    """`python -m collector --version` and `--help` answer on stdout with exit 0."""
    with bare(site, "--version") as version, bare(site, "--help") as help_page:
        assert (version.wait(), help_page.wait()) == (0, 0)
    assert collector.__version__ in version.stdout
    assert "run" in help_page.stdout
    assert version.stderr == help_page.stderr == ""


def test_json_stands_alone_on_stdout(site: Site) -> None:
    """`run --json`, `plan --json` and `schema` print one JSON object and nothing else, whatever is logged beside it."""
    site.simulation.now += timedelta(days=1)
    as_of = ["--as-of", site.simulation.now.isoformat()]
    for arguments in (["plan", "--json", *as_of], ["schema"], ["run", "--json", "-vv", *as_of]):
        with site.call(*arguments) as program:
            assert program.wait() == 0
        assert isinstance(json.loads(program.stdout), dict)
        assert program.stdout.startswith("{")
        assert program.stdout.endswith("}\n")
        assert program.stdout.count("\n") == 1 or arguments == ["schema"]
    assert "attempt 1" in program.stderr


def test_each_log_line_is_an_object(site: Site) -> None:
    """With --log-format json each line of stderr is an object with time, level, logger and message: the summary too."""
    site.simulation.now += timedelta(days=1)
    site.simulation.faults = Faults({Fault.SERVER_ERROR: 1.0}, first_attempts=1)
    with site.run("--log-format", "json", "-vv") as program:
        assert program.wait() == 0
    site.simulation.faults = Faults()
    logged = [json.loads(line) for line in program.stderr.splitlines()]
    assert sum("attempt 1" in line["message"] for line in logged) == 1
    assert logged[-1].items() >= {"level": "INFO", "run_id": program.report["run_id"], "exit_code": 0}.items()
    assert "1 of 1 window answered" in logged[-1]["message"]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in logged)


def test_a_traceback_is_one_object_and_has_no_key(site: Site) -> None:
    """A bug outside of a workspace's run: exit 1 and the traceback, in the format of the log and without the key."""
    program = (
        "import sys, collector.commands\n"
        "def fail(config, *_): raise KeyError(config.workspaces[0].api_key.reveal())\n"
        "collector.commands.make_ready = fail\n"
        "from collector.__main__ import main; main()"
    )
    for style in ("json", "text"):
        line = [sys.executable, "-c", program, "--config", str(site.night.config), "run", "--log-format", style]
        wait = subprocess.run(line, capture_output=True, env={**os.environ, **site.night.environ}, text=True)
        assert wait.returncode == 1
        assert "KeyError" in wait.stderr
        assert "key-of-acme" not in wait.stderr
        if style == "json":
            assert "Traceback" in json.loads(wait.stderr)["exception"]


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("streams", "style"), [("2>/dev/full", "text"), (">/dev/full", "json"), (">/dev/full 2>&1", "text")]
)
def test_a_full_disk_does_not_change_the_exit_code_of_a_run(tmp_path: Path, streams: str, style: str) -> None:
    """`run 2>>collector.log` on a full disk: everything lands, exit 0, and a night with failures exits with 3."""
    site = Site(tmp_path, {"name": "acme", "units": ["day"], "retry": {"attempts": 1}}, start="2026-11-01")
    as_of = site.simulation.now.isoformat()
    with site.served():
        for faults, code, options in ((Faults({Fault.SERVER_ERROR: 1.0}), 3, "-vv"), (Faults(), 0, "--json")):
            site.simulation.faults = faults
            wait = shell(site, f"--log-format {style} run --as-of {as_of} {options} {streams}")
            assert wait.returncode == code, wait.stderr
            if streams == ">/dev/full":
                assert "cannot write the output to stdout: No space left on device" in wait.stderr
                assert ("HTTP 500" in wait.stderr) == bool(code)
                assert "Traceback" not in wait.stderr
    assert site.night.rows() == site.truth()


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "command",
    [
        "plan", "plan --json", "validate", "schema", "--help", "ddl --engine duckdb", "sql 'SELECT 1'",
        "sql 'FROM range(100000)' --format csv",
        "simulate --truth acme/ios/-/day",
    ],
)  # fmt: skip
def test_output_that_cannot_be_written_is_reported(site: Site, command: str) -> None:
    """`plan > /dev/full`: exit 5 and one line that says what could not be written, of each command that prints."""
    wait = shell(site, f"{command} >/dev/full")
    said = "collector: cannot write the output to stdout: No space left on device\n"
    assert (wait.returncode, wait.stderr.splitlines()[-1:]) == (5, said.splitlines()), wait.stderr
    assert "Traceback" not in wait.stderr


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_completion_script_that_cannot_be_written_is_reported(site: Site) -> None:
    """So is the script for the shell's completion, which is printed before any command is known."""
    wait = shell(site, ">/dev/full", _COLLECTOR_COMPLETE="bash_source")
    assert wait.returncode == 5
    assert wait.stderr == "collector: cannot write the output to stdout: No space left on device\n"


def shell(site: Site, arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program by a shell, which redirects its streams."""
    line = f'exec "{sys.executable}" -m collector --config "{site.night.config}" {arguments}'
    environ = {**os.environ, **site.night.environ, **environ}
    return subprocess.run(["sh", "-c", line], env=environ, timeout=60, capture_output=True, text=True)


def test_log_levels(site: Site) -> None:
    """-q: no log line of a good night; nothing: none either; -v: each step; -vv: each request."""
    lines = {}
    for option in ("-q", "--log-format=text", "-v", "-vv"):
        site.simulation.now += timedelta(days=1)
        with site.run(option) as program:
            assert program.wait() == 0
        lines[option] = [line for line in program.stderr.splitlines() if " DEBUG " in line or " INFO " in line]
    assert (lines["-q"], lines["--log-format=text"]) == ([], [])
    assert 0 < len(lines["-v"]) < len(lines["-vv"])


def test_the_config_is_found_by_the_environment(site: Site) -> None:
    """$COLLECTOR_CONFIG names the file, and --config wins over it."""
    environ = {"COLLECTOR_CONFIG": str(site.night.config)}
    with bare(site, "validate", **environ) as named:
        assert named.wait() == 0
    assert "acme: 1 app" in named.stdout
    with bare(site, "--config", "other.yaml", "validate", **environ) as both:
        assert both.wait() == 2
    assert "other.yaml" in both.stderr


def test_mistakes_in_the_config_are_lines(site: Site, tmp_path: Path) -> None:
    """Each mistake is a line with file, line and what to write; nothing is fetched; exit 2 of every command."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(site.night.config.read_text().replace("apps:", "aps:").replace("endpoint:", "endpont:"))
    for command in ("run", "plan", "validate"):
        with bare(site, "--config", str(wrong), command) as program:
            assert (program.wait(), program.stdout) == (2, "")
        assert len([line for line in program.stderr.splitlines() if line.startswith(f"{wrong}:")]) >= 2
        assert "Traceback" not in program.stderr


def test_plan_needs_no_key_and_run_does(site: Site) -> None:
    """With keys unset `plan` and `validate --no-secrets` answer; `run` and `validate` name the variable and exit 2."""
    for arguments, code in ((["plan"], 0), (["validate", "--no-secrets"], 0), (["run"], 2), (["validate"], 2)):
        with site.call(*arguments, KEY_ACME="") as program:
            assert program.wait() == code, (arguments, program.stderr)
        assert ("KEY_ACME" in program.stderr) == (code == 2)


def test_a_lake_that_is_a_file_exits_5(tmp_path: Path) -> None:
    """The lake's path leads to a file: exit 5 with the path, no traceback, and the file is unchanged."""
    site = Site(tmp_path, {"name": "acme"})
    site.night.lake.write_text("not a lake")
    with site.served(), site.run() as program:
        assert program.wait() == 5
    assert str(site.night.lake) in program.stderr
    assert "Traceback" not in program.stderr
    assert site.night.lake.read_text() == "not a lake"
    assert site.answered() == 0


@pytest.mark.parametrize("arguments", [["plan"], ["schema"], ["run"], ["run", "--json"], ["--help"]])
def test_a_closed_pipe_gives_no_traceback(site: Site, arguments: list[str]) -> None:
    """`collector … | head -0`: no traceback and no message of the interpreter; a run lands and keeps its exit code."""
    site.simulation.now += timedelta(days=1)
    as_of = ["--as-of", site.simulation.now.isoformat()] if arguments[0] in ("run", "plan") else []
    ours, theirs = os.pipe()
    os.close(ours)
    line = [sys.executable, "-m", "collector", "--config", str(site.night.config), *arguments, *as_of]
    environ = {**os.environ, **site.night.environ}
    try:
        wait = subprocess.run(line, stdout=theirs, stderr=subprocess.PIPE, env=environ, timeout=60, text=True)
    finally:
        os.close(theirs)
    assert "Traceback" not in wait.stderr
    assert "BrokenPipe" not in wait.stderr
    if arguments[0] == "run":
        assert wait.returncode == 0, wait.stderr
        assert site.night.rows() == site.truth()


def test_closed_streams_do_not_matter(site: Site) -> None:
    """`collector plan <&- >&- 2>&-`: started without streams, the program gives its exit code all the same."""
    line = f'exec "{sys.executable}" -m collector --config "{site.night.config}" plan <&- >&- 2>&-'
    wait = subprocess.run(["sh", "-c", line], env={**os.environ, **site.night.environ}, timeout=60)
    assert wait.returncode == 0


def test_closed_standard_input_is_an_empty_one(site: Site) -> None:
    """`collector sql <&-` has no statement to execute, and no traceback."""
    line = f'exec "{sys.executable}" -m collector --config "{site.night.config}" sql <&-'
    ended = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False, text=True)
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0


ENDING = """
import atexit, sys, collector.cli.main
from collector.__main__ import main

class Kept:
    def __del__(self):
        print("taken down")

sys.kept = Kept()
atexit.register(print, "handlers ran")
collector.cli.main.cli = lambda prog_name: sys.exit(3)
main()
"""


def test_the_interpreter_is_not_finalized() -> None:
    """A process ends with its exit code after output and exit handlers; no module is finalized under a late thread."""
    wait = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, timeout=60, text=True)
    assert (wait.returncode, wait.stdout, wait.stderr) == (3, "handlers ran\n", "")
