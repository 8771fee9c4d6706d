from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from collector.cli.main import cli
from collector.config.schema import schema as config_schema
from collector.lake.tables import TABLES, DataTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.lake.tables import Table

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
}
PAGE_OF_COMMAND = {
    "init": "docs/operations.md",
    "run": "docs/operations.md",
    "plan": "docs/operations.md",
    "status": "docs/operations.md",
    "validate": "docs/operations.md",
    "repair": "docs/operations.md",
    "schema": "docs/operations.md",
    "simulate": "docs/stand-in.md",
    "sql": "docs/queries.md",
    "ddl": "docs/lakes.md",
}
SECTION_OF_KEYS = {
    "FileModel": "The top of the file",
    "StorageModel": "Storage",
    "SettingsModel": "Settings",
    "LookbackModel": "lookback",
    "RateLimitModel": "rate_limit",
    "RetryModel": "retry",
    "WorkspaceModel": "Workspaces",
    "AppModel": "apps",
    "SegmentModel": "segments",
}


def sections(page: str) -> dict[str, str]:
    """The text below each heading of a page, up to the next heading; the text before the first is under ""."""
    parts = re.split(r"^#+ (.+)$", PAGES[page], flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def about(command: str) -> str:
    """What the command's page says of it: the sections that name it, or all of a page that it has for itself."""
    page = PAGE_OF_COMMAND[command]
    if list(PAGE_OF_COMMAND.values()).count(page) == 1:
        return PAGES[page]
    return "".join(text for text in sections(page).values() if re.search(rf"collector {command}\b", text))


def flags(command: click.Command) -> Iterator[str]:
    """The long form of each option of a command that the other commands do not have too."""
    common = {option for parameter in cli.params for option in parameter.opts}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and common.isdisjoint(parameter.opts):
            yield max(parameter.opts, key=len)


def names(text: str, flag: str) -> bool:
    """Whether a text has this very flag, not a longer one that begins like it."""
    return re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text) is not None


def first_cells(text: str) -> set[str]:
    """The first cells of the rows of all tables in a text, without backticks."""
    return set(re.findall(r"^\| `?([^|`]+?)`? \|", text, re.MULTILINE))


def test_every_command_has_its_page() -> None:
    """No command is without a page, and no page is for a command that is gone."""
    assert set(PAGE_OF_COMMAND) == set(cli.commands)


@pytest.mark.parametrize("command", cli.commands.values(), ids=lambda command: str(command.name))
def test_every_flag_is_in_the_page_of_its_command(command: click.Command) -> None:
    """The page of a command names each of its options where it writes of that command."""
    text = about(str(command.name))
    assert text
    assert [flag for flag in flags(command) if not names(text, flag)] == []


def test_options_of_every_command_are_in_one_section() -> None:
    """One section of docs/operations.md names all options that every command has."""
    common = [max(parameter.opts, key=len) for parameter in cli.params if parameter.name != "version"]
    assert any(all(names(text, flag) for flag in common) for text in sections("docs/operations.md").values())


@pytest.mark.parametrize("command", [cli, *cli.commands.values()], ids=lambda command: str(command.name))
def test_every_command_and_option_has_help(command: click.Command) -> None:
    """`--help` describes the command and each of its options."""
    assert command.help
    assert all(getattr(option, "help", "") for option in command.params)


@pytest.mark.parametrize("model", SECTION_OF_KEYS)
def test_every_config_key_has_a_row_in_its_section(model: str) -> None:
    """docs/config.md has a table row for each key of each mapping; a workspace's settings are in their own section."""
    document = config_schema()
    mappings = document["$defs"] | {"FileModel": document}
    keys = set(mappings[model]["properties"])
    if model == "WorkspaceModel":
        keys -= set(mappings["SettingsModel"]["properties"])
    assert keys
    assert keys - first_cells(sections("docs/config.md")[SECTION_OF_KEYS[model]]) == set()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_every_column_has_a_row_in_the_section_of_its_table(table: Table) -> None:
    """docs/tables.md has a row for each column of a table, in the section of that table."""
    section = f"{table.metric.name}_SCOPE_UNIT" if isinstance(table, DataTable) else table.name
    columns = {column.name for column in table.columns}
    assert columns - first_cells(sections("docs/tables.md")[section]) == set()


def test_every_exit_code_has_a_row_in_the_readme() -> None:
    """One table of the README has all exit codes, and none besides."""
    (table,) = re.findall(r"^\| exit code .*\n((?:\|.*\n)+)", PAGES["README.md"], re.MULTILINE)
    codes = [int(code) for cell in first_cells(table) for code in re.findall(r"\d+", cell)]
    assert sorted(codes) == [0, 1, 2, 3, 4, 5, 130, 143]


def test_every_make_target_is_in_the_docs() -> None:
    """`make` lists each target, and README or docs name it."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == set(targets)
    text = "\n".join(PAGES.values())
    assert [target for target in targets if not re.search(rf"make {target}(?![\w-])", text)] == ["help"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, a .venv that is up to date, and a program in it that says what it was given."""
    folder = tmp_path / "check out"
    for name in ("Makefile", "pyproject.toml", "constraints.txt", ".venv/bin/python", ".venv/installed"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text() if name in ("Makefile", "pyproject.toml") else "")
    program = folder / ".venv/bin/collector"
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"; exit "${CODE:-0}"\n')
    program.chmod(0o755)
    return folder


def make(checkout: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run make there."""
    variables = {name: value for name, value in os.environ.items() if name not in ("CONFIG", "COLLECTOR_CONFIG")}
    return subprocess.run(
        ["make", "--silent", *arguments], cwd=checkout, capture_output=True, text=True, env={**variables, **environ}
    )


def test_extras_add_up(checkout: Path) -> None:
    """`make setup` does nothing where all is up to date; a named extra is installed, once, beside those before it."""

    def planned(*arguments: str, **environ: str) -> list[str]:
        command = ["--dry-run", "setup", *arguments]
        return re.findall(r"--editable (\S+)", make(checkout, *command, **environ).stdout)

    assert planned() == []
    assert planned("EXTRA=[objects]") == ["'.[objects]'"]
    assert planned("EXTRA=[sql, objects]") == ["'.[objects]'", "'.[sql]'"]
    assert planned(EXTRA="sql") == ["'.[sql]'"]
    for stamp in (".venv/installed-objects", ".venv/installed-sql"):
        (checkout / stamp).touch()
    assert planned("EXTRA=[objects]") == planned() == []
    unknown = make(checkout, "setup", "EXTRA=[object]")
    assert (unknown.returncode, "there is no extra object" in unknown.stdout) == (2, True)
    os.utime(checkout / "constraints.txt", (2**32, 2**32))
    assert planned() == [".", "'.[objects]'", "'.[sql]'"]


def test_make_collect_says_the_exit_code(checkout: Path) -> None:
    """Make's own exit code is 2 for all failures, so its recipe ends with the program's, in the words of the README."""
    (table,) = re.findall(r"^\| exit code .*\n((?:\|.*\n)+)", PAGES["README.md"], re.MULTILINE)
    rows = re.findall(r"^\| ([\d, ]+) \| ([^|]+) \|", table, re.MULTILINE)
    meanings = {int(code): meaning.strip() for codes, meaning in rows for code in codes.split(",")}
    assert len(meanings) == 8
    for code, meaning in meanings.items():
        ended = make(checkout, "collect", CODE=str(code))
        lines = [line for line in ended.stderr.splitlines() if not re.match(r"make(\[\d+\])?:", line)]
        said = meaning.replace("by SIGINT or SIGTERM", "by a signal")
        assert (ended.returncode, lines[-1]) == (2 if code else 0, f"exit code {code}: {said}")


def test_make_collect_passes_a_signal_on(checkout: Path) -> None:
    """SIGTERM to make reaches the program, whose own end is waited for and said."""
    program = "#!/bin/sh\ntrap 'echo landed; exit 143' TERM\necho started\nwhile :; do sleep 0.01; done\n"
    (checkout / ".venv/bin/collector").write_text(program)
    command = ["make", "--silent", "collect"]
    with subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as made:
        assert made.stdout is not None
        assert made.stderr is not None
        assert made.stdout.readline() == "started\n"
        made.terminate()
        assert made.stdout.read() == "landed\n"
        assert "exit code 143: stopped by a signal" in made.stderr.read()


def test_schedulers_start_the_program_itself() -> None:
    """No line for cron or systemd in the docs runs make, which hides exit codes, and each says where keys come from."""
    blocks = [block for page in PAGES.values() for block in re.findall(r"```(?:cron|ini)\n(.*?)```", page, re.DOTALL)]
    starts = [line for block in blocks for line in block.splitlines() if re.match(r"ExecStart=|\d+ \d+ \*", line)]
    assert len(starts) >= 3
    for line in starts:
        assert ".venv/bin/collector" in line
        assert not re.search(r"\bmake\b", line)
    assert "api_key_file" in sections("README.md")["Run it every night"]
    assert "EnvironmentFile" in sections("docs/operations.md")["Scheduling"]


@pytest.mark.parametrize("target", ["collect", "plan", "validate", "simulate"])
def test_make_passes_the_config_on_as_it_is(checkout: Path, target: str) -> None:
    """CONFIG may have spaces and quotes; without it, $COLLECTOR_CONFIG counts, as it does for the program."""
    config = '/my configs/it\'s "c".yaml'
    for given in (make(checkout, target, f"CONFIG={config}"), make(checkout, target, COLLECTOR_CONFIG=config)):
        assert given.stdout.startswith(f"<--config><{config}><")
    assert make(checkout, target).stdout.startswith("<--config><config/collector.yaml><")


def test_links_lead_to_files() -> None:
    """Each relative link of the docs names a file that exists."""
    for page, text in PAGES.items():
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert link.startswith("http") or (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"


def test_the_architecture_page_names_files_that_exist() -> None:
    """Each Python file that docs/architecture.md names is in the package or in the tests."""
    files = [path.as_posix() for folder in ("collector", "tests") for path in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"`([a-z_/]+\.py)`", PAGES["docs/architecture.md"]))
    assert named
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in files)} == set()
