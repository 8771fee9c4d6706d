from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from collector.cli.init import EXAMPLES, example
from collector.cli.main import cli
from collector.config.load import load
from tests.query.terminal import CTRL_D, on_a_terminal

if TYPE_CHECKING:
    from pathlib import Path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"COLLECTOR_CONFIG": None, "BRAZE_API_KEY_ACME": "key"})


def test_it_writes_a_config_that_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal nothing is asked: the commented example, at the usual place, with folders that are missing."""
    monkeypatch.chdir(tmp_path)
    written = call("init")
    assert (written.exit_code, written.stderr) == (0, "")
    assert "wrote config/collector.yaml" in written.stdout
    assert (tmp_path / "config/collector.yaml").read_text() == example()
    assert f"its lake is {tmp_path / 'lake'}" in call("validate").stdout
    assert call("-c", "other.yaml", "init").exit_code == 0
    assert f"its lake is {tmp_path / 'lake'}" in call("-c", "other.yaml", "validate", "--no-secrets").stdout


@pytest.mark.parametrize("kind", ["file", "empty file", "folder", "dangling link"])
def test_it_never_overwrites(tmp_path: Path, kind: str) -> None:
    """Whatever is there stays: exit 2, with what to do."""
    there = tmp_path / "c.yaml"
    match kind:
        case "folder":
            there.mkdir()
        case "dangling link":
            there.symlink_to(tmp_path / "nothing")
        case _:
            there.write_text("mine" if kind == "file" else "")
    found = call("--config", str(there), "init")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "is not overwritten: name another" in " ".join(found.stderr.split())
    assert list(tmp_path.iterdir()) == [there]
    assert kind != "file" or there.read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """The reason is named, without a traceback."""
    (tmp_path / "file").touch()
    found = call("--config", str(tmp_path / "file/c.yaml"), "init")
    assert (found.exit_code, "cannot write" in found.stderr) == (2, True)


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    """Each answer is checked, asked for again if it is wrong, and written where it belongs."""
    config = tmp_path / "c.yaml"
    typed = [
        b"$HOME/lake\n", b"s3://bucket/lake\n", b"globex-eu\n", b"rest.fra-2.braze.eu\n", b"https://rest.fra-02.braze.eu\n",
        b"Europe/Berlin\n",
    ]  # fmt: skip
    code, shown = on_a_terminal([sys.executable, "-m", "collector", "-c", str(config), "init"], typed)
    assert (code, "write https://rest.fra-02.braze.eu" in shown) == (0, True), shown
    written = load(config, {}, secrets=False)
    (workspace,) = written.workspaces
    assert (written.lake, workspace.name, workspace.timezone.key) == ("s3://bucket/lake", "globex-eu", "Europe/Berlin")
    assert (workspace.endpoint, workspace.key_variable) == ("https://rest.fra-02.braze.eu", "BRAZE_API_KEY_GLOBEX_EU")


def test_without_an_answer_nothing_is_written(tmp_path: Path) -> None:
    """The end of the input ends it: exit 2."""
    config = tmp_path / "c.yaml"
    code, _ = on_a_terminal([sys.executable, "-m", "collector", "-c", str(config), "init"], [CTRL_D])
    assert (code, config.exists()) == (2, False)


def test_the_example_is_the_one_of_the_checkout() -> None:
    """There is one example, which the wheel has as well."""
    assert example() == EXAMPLES[1].read_text()
