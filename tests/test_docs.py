from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collector.cli.main import cli
from collector.lake.tables import TABLES

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).resolve().parent.parent
PAGES = {path: path.read_text() for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]}
EVERYTHING = "\n".join(PAGES.values())


def _commands() -> list[click.Command]:
    return list(cli.commands.values())


@pytest.mark.parametrize("command", _commands(), ids=lambda command: str(command.name))
def test_every_command_and_flag_is_in_the_docs(command: click.Command) -> None:
    """Each command and each option is on a page."""
    assert f"collector {command.name}" in EVERYTHING or f"make {command.name}" in EVERYTHING
    for option in command.params:
        flag = max(option.opts, key=len)
        assert flag in EVERYTHING, f"{command.name} {flag}"


@pytest.mark.parametrize("command", [cli, *_commands()], ids=lambda command: str(command.name))
def test_help_says_what_each_option_is_for(command: click.Command) -> None:
    """No command and no option is without help."""
    assert command.help
    assert all(getattr(option, "help", "") for option in command.params)


def test_every_column_is_in_the_tables_page() -> None:
    """docs/tables.md names each column of each table."""
    page = PAGES[ROOT / "docs" / "tables.md"]
    missing = {column.name for table in TABLES for column in table.all_columns if f"`{column.name}`" not in page}
    assert missing == set()


def test_every_exit_code_is_in_the_readme() -> None:
    """The README's table names each exit code."""
    readme = PAGES[ROOT / "README.md"]
    for code in ("0", "1", "2", "3", "4", "5", "130"):
        assert re.search(rf"^\| {code}\b", readme, re.MULTILINE), code


def test_every_make_target_is_documented() -> None:
    """`make` lists each target, and a page names it."""
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == set(targets)
    assert [target for target in targets if f"make {target}" not in EVERYTHING] == ["help"]


def test_links_lead_somewhere() -> None:
    """Each relative link of the docs names a file that is there."""
    for page, text in PAGES.items():
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_architecture_page_names_files_that_exist() -> None:
    """Each Python file that docs/architecture.md names is in the package or in the tests."""
    files = [path.as_posix() for folder in ("collector", "tests") for path in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"`([a-z_/]+\.py)`", PAGES[ROOT / "docs" / "architecture.md"]))
    assert named
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in files)} == set()
