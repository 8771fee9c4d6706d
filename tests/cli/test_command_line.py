from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from collector.cli.main import cli
from collector.simulator.options import Fault, Faults
from tests.query.terminal import on_a_terminal
from tests.support.night import Night, make_document
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A config with two workspaces and no lake."""
    return Night(
        tmp_path_factory.mktemp("cli"),
        make_document("http://127.0.0.1:1", {"name": "acme"}, {"name": "globex", "apps": [{"name": "tv", "id": "1"}]}),
    )


def completed(*words: str) -> list[str]:
    """What bash offers for the last word."""
    result = CliRunner().invoke(
        cli,
        prog_name="collector",
        env={
            "_COLLECTOR_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["collector", *words]),
            "COMP_CWORD": str(len(words)),
            "COLLECTOR_CONFIG": None,
        },
    )
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["re"], ["repair"]),
        (["run", "--max"], ["--max-requests"]),
        (["run", "--log"], ["--log-format"]),
        (["sql", "--format", "j"], ["json"]),
        (["ddl", "--engine", "s"], ["spark", "snowflake"]),
    ],
)
def test_commands_options_and_values_are_completed(words: list[str], offered: list[str]) -> None:
    """The shell completes the names of commands and options, and values that are a choice."""
    assert completed(*words) == offered


def test_workspaces_and_apps_are_completed_from_the_config(night: Night) -> None:
    """--workspace and --app offer the names in the config, wherever on the line it is named, without any key."""
    config = str(night.config)
    assert completed("-c", config, "run", "--workspace", "") == ["acme", "globex"]
    assert completed("plan", "-c", config, "--workspace", "gl") == ["globex"]
    assert "tv" in completed("run", "--config", config, "--app", "t")


def test_a_config_that_cannot_be_read_completes_nothing(tmp_path: Path) -> None:
    """A missing config offers no names, and prints no error into the command line."""
    assert completed("-c", str(tmp_path / "none.yaml"), "run", "--workspace", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    """The installed program prints the completion script of each documented shell."""
    environ = {**os.environ, "_COLLECTOR_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "collector"]
    script = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    assert f"{shell}_complete" in script
    assert "_collector_completion" in script


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["rnu"], "'run'"),
        (["validat"], "'validate'"),
        (["run", "--jsn"], "'--json'"),
        (["plan", "--as-off"], "'--as-of'"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(arguments: list[str], nearest: str) -> None:
    """An unknown command or option exits with 2 and names the nearest one."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert f"Did you mean {nearest}?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "--as-of", "2026-11-23"], "offset"),
        (["run", "--as-of", "0001-01-01T00:00:00+05:00"], "0001-01-01"),
        (["run", "--as-of", "yesterday"], "'yesterday'"),
        (["run", "--as-of", "9999-12-31T23:59:59-05:00"], "from 2000-01-01 to 2100-01-01"),
        (["plan", "--as-of", "1960-01-01T00:00Z"], "from 2000-01-01 to 2100-01-01"),
        (["plan", "--from", "1969-12-31"], "from 2000-01-01 to 2999-12-31"),
        (["run", "--from", "2026-11-01", "--to", "9999-12-31"], "from 2000-01-01 to 2999-12-31"),
        (["simulate", "--truth", "acme/ios/-/day", "--to", "9999-12-31"], "from 2000-01-01 to 2999-12-31"),
        (["run", "--from", "2026-13-45"], "YYYY-MM-DD"),
        (["run", "--to", "2026-11-01"], "--from"),
        (["run", "--from", "2026-11-02", "--to", "2026-11-01"], "later than"),
        (["run", "--deadline", "25:00"], "'25:00'"),
        (["run", "--deadline", "0s"], "above 0s"),
        (["run", "--workspace", "acm"], "did you mean acme?"),
        (["run", "--app", "zz"], "known: "),
    ],
)
def test_a_wrong_value_exits_with_2(night: Night, arguments: list[str], part: str) -> None:
    """A value that cannot be used is named, with what to write instead."""
    result = CliRunner().invoke(cli, ["-c", str(night.config), *arguments], env=night.environ)
    assert result.exit_code == 2
    assert part in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (["run"], {"KEY_ACME": ""}, 2, ["KEY_ACME is empty"]),
        (["run", "--jsn"], {}, 2, ["--jsn"]),
        (["rnu"], {}, 2, ["No such command 'rnu'"]),
        (["run", "--workspace", "acm"], {}, 2, ["did you mean acme?"]),
        (["run", "--as-of", "1960-01-01T00:00Z"], {}, 2, ["2000-01-01"]),
        (["run", "--app", "ios", "--from", "2026-11-20"], {}, 3, ["HTTP 500", "what to do"]),
        (["repair", "--dry-run", "--json"], {}, 5, ["x.tmp"]),
        (["simulate", "--port", "1", "--host", "203.0.113.1"], {}, 2, ["other machines"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_line_of_a_json_log_is_an_object(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], code: int, said: list[str]
) -> None:
    """With --log-format json each line of stderr is an object: mistakes, usage errors, warnings, failures, repairs."""
    site = Site(tmp_path, {"name": "acme", "units": ["day"], "retry": {"attempts": 1}}, start="2026-11-01")
    (site.night.lake / "coverage/workspace=acme").mkdir(parents=True)
    (site.night.lake / "coverage/workspace=acme/x.tmp").touch()
    site.simulation.faults = Faults({Fault.SERVER_ERROR: 1.0})
    with site.served():
        outcome = site.night.call(*arguments, "--log-format", "json", environ=environ)
    assert outcome.exit_code == code
    lines = [json.loads(line) for line in outcome.stderr.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    text = "\n".join(line["message"] for line in lines)
    assert [part for part in said if part not in text] == []
    assert lines[-1]["level"] != "INFO" or arguments[0] == "repair"


@pytest.mark.parametrize(("no_color", "styled"), [("", True), ("1", False)])
def test_no_color_is_honoured_on_a_terminal(
    night: Night, monkeypatch: pytest.MonkeyPatch, no_color: str, styled: bool
) -> None:
    """On a terminal the plan has bold text; with NO_COLOR it has no escape code, and the same words."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    code, shown = on_a_terminal([sys.executable, "-m", "collector", "-c", str(night.config), "plan"], [])
    assert code == 0
    assert "requests" in shown
    assert ("\x1b[" in shown) == styled
