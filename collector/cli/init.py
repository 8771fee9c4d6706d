"""`collector init`: a first config file, from the commented example that ships with the package.

In: on a terminal, answers; elsewhere, nothing is asked. Out: a file that `validate --no-secrets` accepts. It never
overwrites a file.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.cli.options import DEFAULT_CONFIG, CollectorCommand, global_option
from collector.config import endpoint, values

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = (Path(endpoint.__file__).with_name("example.yaml"), Path(__file__).parents[2] / DEFAULT_CONFIG)
"""The example in an installed package, and in a checkout."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What differs from the example."""

    lake: str
    name: str = "acme"
    endpoint: str = endpoint.EXAMPLE
    timezone: str = "America/New_York"


@click.command(cls=CollectorCommand, short_help="Write a first config file.")
@click.pass_context
def init(ctx: click.Context) -> None:
    """Write a commented config file: config/collector.yaml, or the one that --config names.

    On a terminal, it asks for the lake and for the first workspace. It never overwrites a file.
    """
    path = Path(global_option(ctx, "config") or DEFAULT_CONFIG)
    # The example's own lake is beside its folder, which is named config.
    defaults = Answers("../lake" if path.absolute().parent.name == "config" else "./lake")
    if path.exists() or path.is_symlink():
        raise click.UsageError(f"{path} exists already, and is not overwritten: name another with --config FILE")
    answers = _ask(defaults) if sys.stdin is not None and sys.stdin.isatty() else defaults
    _write(path, fill(example(), answers))
    click.echo(f"wrote {path}\nnext: write your apps and segments into it, export the key, and run: collector validate")


def example() -> str:
    """The commented example."""
    return next(path for path in EXAMPLES if path.exists()).read_text(encoding="utf-8")


def fill(text: str, answers: Answers) -> str:
    """The example with the answers in it."""
    variable = f"BRAZE_API_KEY_{answers.name.upper().replace('-', '_')}"
    for pattern, value in (
        (r"(?m)(?<=^lake: )\S+", answers.lake),
        (r"(?m)(?<=^  - name: )\S+", answers.name),
        (r"(?m)(?<=^    endpoint: )\S+", answers.endpoint),
        (r"(?m)(?<=^    timezone: )\S+", answers.timezone),
        (r"BRAZE_API_KEY_ACME", variable),
    ):
        text = re.sub(pattern, lambda _, value=value: value, text, count=1)  # type: ignore[misc]
    return text


def _ask(defaults: Answers) -> Answers:
    """Each question again until its answer would be no mistake."""
    return Answers(
        _prompt("Lake: a folder, relative to the config, or s3://…, gs://…, abfs://…", defaults.lake, _lake),
        _prompt("Name of the workspace", defaults.name, values.workspace_name),
        _prompt("REST endpoint", defaults.endpoint, endpoint.read_endpoint),
        _prompt("Time zone of the dashboard", defaults.timezone, values.zone_name),
    )


def _prompt(question: str, default: str, check: Callable[[str], str]) -> str:
    def convert(text: str) -> str:
        try:
            return check(text)
        except ValueError as error:
            raise click.UsageError(str(error)) from error

    try:
        answer: str = click.prompt(question, default=default, value_proc=convert, err=True, prompt_suffix="\n> ")
    except click.Abort:
        raise click.UsageError("no answer was given, so no file was written") from None
    return answer


def _lake(text: str) -> str:
    """As the config's `lake`, in YAML's plain style."""
    if not re.fullmatch(r"[\w./~:@+,=-]+", values.lake(text)):
        raise ValueError("has characters that YAML needs quotes for: write it into the file by hand")
    return text


def _write(path: Path, text: str) -> None:
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from error
