"""`collector sql` and `collector ddl` on the command line.

In: the config (without keys) and the lake's store, by callables that the composition root hands over. Out: answers and
statements on stdout, all else on stderr. Engines are imported only when a command runs, so that others start fast.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from collector.config.settings import Config
    from collector.lake.store import Store
    from collector.query.session import Session

    LoadConfig = Callable[[click.Context], Config]
    OpenLake = Callable[[Config], Store]

ENGINES = ("duckdb", "athena", "trino", "spark", "databricks", "bigquery", "snowflake")
FORMATS = ("table", "csv", "json", "parquet")

_SQL_HELP = """Query the lake with DuckDB: its tables, and views with the newest names, weeks and local hours.

Nothing is written, no key is needed, times are in UTC. Without a STATEMENT: an interactive prompt, or the statements
that stdin holds.

\b
  collector sql "SELECT date, app, sessions FROM app_days ORDER BY ALL LIMIT 20"
  collector sql "FROM coverage" --format csv --output coverage.csv
  collector sql < report.sql
Tables and views: type .tables at the prompt, or see docs/queries.md. Needs the extra `sql`.
"""

_DDL_HELP = """Print statements that declare the lake's tables, and views over them, to an engine.

All tables are declared, with a comment on every column, whether or not they have rows yet: a scope that you begin to
collect tomorrow is there tomorrow. DuckDB refuses tables without files, so those are declared empty: run it again then.

\b
  collector ddl --engine duckdb | duckdb lake.duckdb
  collector ddl --engine athena --table app_days
  collector ddl --engine bigquery --lake gs://bucket/prefix
"""


class Refused(click.ClickException):
    """What users can mend, in a line (exit 2)."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """As the program's other errors."""
        click.echo(f"collector: {self.message}", file=file, err=True)


def query_commands(load: LoadConfig, open_lake: OpenLake) -> tuple[click.Command, ...]:
    """Build both commands. `load` and `open_lake` are called once the options have been read."""

    def sql(statement: str | None, kind: str, output: Path | None) -> None:
        config = load(click.get_current_context())
        _refuse_bytes_on_a_terminal(kind, output)
        with _session(config, open_lake(config)) as session:
            _run(session, statement, kind, output)

    def ddl(engine: str, lake: str | None, names: tuple[str, ...]) -> None:
        config = load(click.get_current_context())
        if lake is not None:
            config = replace(config, lake=lake if "://" in lake or lake.startswith("@") else str(Path(lake).absolute()))
        for statement in _declared(engine, config, open_lake, names):
            click.echo(f"{statement};\n")

    return (
        click.Command("sql", callback=sql, params=list(_SQL_OPTIONS), help=_SQL_HELP),
        click.Command("ddl", callback=ddl, params=list(_DDL_OPTIONS), help=_DDL_HELP),
    )


def _declared(engine: str, config: Config, open_lake: OpenLake, names: tuple[str, ...]) -> list[str]:
    from collector.query.engines import engine_called
    from collector.query.ground import Undeclarable, absent_tables, ground_of
    from collector.query.statements import statements

    absent = absent_tables(open_lake(config)) if engine == "duckdb" else frozenset()
    try:
        return list(statements(engine_called(engine), ground_of(config, absent), names))
    except Undeclarable as error:
        raise Refused(str(error)) from error


def _session(config: Config, store: Store) -> AbstractContextManager[Session]:
    try:
        from collector.query.session import Session
    except ModuleNotFoundError as error:
        if error.name != "duckdb":
            raise
        raise Refused("sql needs DuckDB: install it with pip install 'braze-session-collector[sql]'") from error
    from collector.lake.catalog import TABLES
    from collector.query.ground import absent_tables, ground_of

    ground = ground_of(config, absent_tables(store))
    if len(ground.absent) == len(TABLES):
        click.echo(f"the lake {config.lake} is empty: `collector run` fills it", err=True)
    return Session(ground, store)


def _run(session: Session, statement: str | None, kind: str, output: Path | None) -> None:
    from collector.query.session import Unanswered

    def answer(text: str) -> None:
        _answer(session, text, kind, output)

    try:
        if statement is not None or not sys.stdin.isatty():
            answer(statement if statement is not None else sys.stdin.read())
        else:
            _converse(answer)
    except Unanswered as error:
        raise Refused(str(error)) from error


def _answer(session: Session, text: str, kind: str, output: Path | None) -> None:
    """Every answer that there is, each written when it is whole; anything but tables has room for one."""
    from collector.query.formats import Format, write
    from collector.query.session import Unanswered

    answers = session.answers(text)
    if kind == Format.TABLE and output is None:
        for each in answers:
            write(each, Format.TABLE, sys.stdout.buffer)
        return
    found = list(answers)
    if len(found) != 1:
        raise Unanswered(f"{len(found)} answers: with --format or --output write one statement that has one")
    if output is None:
        write(found[0], Format(kind), sys.stdout.buffer)
        return
    try:
        with output.open("wb") as stream:
            write(found[0], Format(kind), stream)
    except OSError as error:
        raise Refused(f"cannot write {output}: {error.strerror}") from error


def _converse(answer: Callable[[str], None]) -> None:
    import readline  # noqa: F401  # line editing and history for input()
    import signal

    from collector.query.prompt import converse

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C drops a line, not the prompt
    try:
        converse(input, answer, lambda text: click.echo(text, nl=False))
    finally:
        signal.signal(signal.SIGINT, before)


def _refuse_bytes_on_a_terminal(kind: str, output: Path | None) -> None:
    if kind == "parquet" and output is None and sys.stdout.isatty():
        raise Refused("Parquet is no text for a terminal: name a file with --output, or pipe it")


_SQL_OPTIONS = (
    click.Argument(["statement"], required=False),
    click.Option(["--format", "kind"], type=click.Choice(FORMATS), default="table", show_default=True,
                 help="How the answer is written. Instants are ISO 8601, in UTC."),
    click.Option(["--output"], type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                 help="Write the answer to this file instead of stdout."),
)  # fmt: skip
_DDL_OPTIONS = (
    click.Option(["--engine"], type=click.Choice(ENGINES), required=True, help="Whose SQL to write."),
    click.Option(["--lake"], metavar="ADDRESS", help="Where that engine finds the lake.  [default: the config's]"),
    click.Option(["--table", "names"], multiple=True, metavar="NAME",
                 help="This table or view alone, and what it reads (repeatable)."),
)  # fmt: skip
