"""`collector simulate` as a user runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from collector.cli.simulate import OPTIONS, announcement, simulate_command
from collector.config.settings import App, Secret, Segment, Workspace
from collector.simulator.simulation import Simulation

PROGRAM = """
from zoneinfo import ZoneInfo
from collector.config.settings import App, Workspace
from collector.cli.simulate import simulate_command
workspace = Workspace("acme", "http://127.0.0.1", ZoneInfo("UTC"), apps=(App("ios", "a-ios"),))
simulate_command(lambda context: [workspace])()
"""


def make_workspace(key: Secret | None = None) -> Workspace:
    return Workspace(
        "acme",
        "http://127.0.0.1",
        ZoneInfo("America/New_York"),
        key,
        apps=(App("ios", "a-ios"),),
        segments=(Segment("vip", "s-vip"),),
        key_variable="DEMO_KEY_ACME",
    )


def invoke(*arguments: str, workspaces: tuple[Workspace, ...] | None = None) -> Result:
    served = (make_workspace(),) if workspaces is None else workspaces
    command = simulate_command(lambda _context: served)
    return CliRunner().invoke(command, arguments)


def test_truth_is_printed_as_csv() -> None:
    """`--truth` prints a row for each bucket; counts differ at a later instant."""
    span = ("--from", "2026-11-20", "--to", "2026-11-22")
    day = invoke("--truth", "acme/ios/vip/day", "--now", "2026-11-23T12:00:00Z", *span)
    later = invoke("--truth", "acme/ios/vip/day", "--now", "2027-11-23T12:00:00Z", *span)
    hours = invoke("--truth", "acme/-/-/hour", "--now", "2026-11-23T12:00:00Z", *span)
    assert day.exit_code == 0
    lines = day.stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == ["bucket", "2026-11-20", "2026-11-21", "2026-11-22"]
    assert lines != later.stdout.splitlines()
    assert len(hours.stdout.splitlines()) == 73
    assert hours.stdout.splitlines()[1].startswith("2026-11-20T05:00:00Z,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--now", "2026-11-23"], "has no offset"),
        (["--now", "tomorrow"], "'tomorrow'"),
        (["--latency", "50-5"], "'50-5'"),
        (["--faults", "50=0.1"], "fault '50'"),
        (["--faults", "500=2"], "from 0 to 1"),
        (["--untracked", "vipp"], "segment 'vipp'"),
        (["--host", "0.0.0.0"], "other machines"),  # noqa: S104 - refused
        (["--truth", "acme/ios"], "WORKSPACE/APP/SEGMENT/UNIT"),
        (["--truth", "acme/ios/-/day", "--from", "x"], "2026-11-01"),
    ],
)
def test_mistakes_exit_with_2(arguments: list[str], message: str) -> None:
    """A mistake on the command line is explained on stderr; nothing is served."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")


def test_a_config_without_workspaces_is_refused() -> None:
    """There must be something to serve."""
    assert invoke(workspaces=()).exit_code == 2


def test_the_announcement_shows_made_up_keys_only() -> None:
    """A workspace without a key gets a made-up key for the config's own variable or file; a real key is not printed."""
    keyless, keyed = make_workspace(), make_workspace(Secret("planted"))
    missing = "\n".join(announcement("http://u", [keyless], Simulation([keyless])))
    present = "\n".join(announcement("http://u", [keyed], Simulation([keyed])))
    assert "export DEMO_KEY_ACME=simulated-acme" in missing
    assert "Bearer simulated-acme" in missing
    assert "planted" not in present
    assert "Bearer $DEMO_KEY_ACME" in present
    filed = replace(keyless, key_variable=None)
    assert "in the api_key_file of acme: simulated-acme" in announcement("http://u", [filed], Simulation([filed]))


def test_every_option_has_help() -> None:
    """Each option says what it does, and the help shows all faults."""
    shown = invoke("--help").output
    for option in OPTIONS:
        assert option.help
        assert option.opts[0] in shown
    assert "off-bucket" in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(client: Any, number: signal.Signals) -> None:
    """The program serves with its options, and ends with exit code 0 on SIGTERM and SIGINT, without a traceback."""
    options = ["--port", "0", "--now", "2026-11-23T12:30:00Z", "--latency", "0-1", "--pool", "100", "--no-restate"]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, *options], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        url = first.split(" at ")[1].split(" for ")[0]
        answer = client.series(url, length=1)
        process.send_signal(number)
        rest = process.stderr.read()
    assert (answer.status, answer.headers["x-ratelimit-limit"]) == (200, "100")
    assert process.returncode == 0
    assert "stopped after 1 request\n" in rest
    assert "Traceback" not in rest
