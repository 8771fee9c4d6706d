"""`collector sql` and `collector ddl`.

In: the config (without keys) and the lake. Out: results and statements on stdout, all else on stderr. Engines are
imported when a command runs: DuckDB is optional, and other commands must start fast.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.cli.options import CollectorCommand, load_config, open_lake
from collector.query import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.config.settings import Config
    from collector.query.session import Session


ENGINES = ("duckdb", "athena", "trino", "spark", "databricks", "bigquery", "snowflake")
FORMATS = ("table", "csv", "json", "parquet")


@click.command(cls=CollectorCommand, short_help="Query the lake with DuckDB.")
@click.argument("statement", required=False, help="What to execute, in DuckDB's SQL.")
@click.option(
    "--format",
    "result_format",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Format of the result. Instants are ISO 8601, in UTC.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the result to this file instead of stdout.",
)
@click.pass_context
def sql(ctx: click.Context, statement: str | None, result_format: str, output: Path | None) -> None:
    """Query the lake with DuckDB: its tables, and views with the newest names, weeks and local hours.

    Read-only. No API key is needed. Times are in UTC. Without a STATEMENT, statements are read from stdin; on a
    terminal, from an interactive prompt.

    \b
      collector sql "SELECT date, app, sessions FROM app_days LIMIT 20"
      collector sql "FROM coverage" --format csv --output coverage.csv
      collector sql < report.sql

    To list tables and views, type .tables at the prompt, or see docs/queries.md. Requires the extra `sql`.
    """
    config = load_config(ctx, secrets=False)
    if result_format == "parquet" and output is None and sys.stdout.isatty():
        raise QueryRefused("Parquet cannot be shown on a terminal: name a file with --output, or use a pipe")
    if output is not None:
        _refuse_output_in_lake(output, config)
    with _open_session(config) as session:
        if statement is None and sys.stdin.isatty():
            _prompt(lambda text: _run_statements(session, text, result_format, output))
        else:
            _run_statements(session, sys.stdin.read() if statement is None else statement, result_format, output)


@click.command(cls=CollectorCommand, short_help="Print statements that declare the tables in an engine.")
@click.option("--engine", type=click.Choice(ENGINES), required=True, help="The engine to write statements for.")
@click.option("--lake", metavar="ADDRESS", help="Where that engine finds the lake.  [default: as in the config]")
@click.option(
    "--table", "names", multiple=True, metavar="NAME", help="Only this table or view, and what it reads (repeatable)."
)
@click.option(
    "--register",
    type=click.Choice(("glue",)),
    help="Create or update the tables in this catalog instead; requires --engine athena.",
)
@click.option(
    "--database", default="sessions", show_default=True, metavar="NAME", help="With --register: the catalog's database."
)
@click.pass_context
def ddl(
    ctx: click.Context, engine: str, lake: str | None, names: tuple[str, ...], register: str | None, database: str
) -> None:
    """Print the statements that declare the lake's tables, and views over them, in an engine.

    All tables are declared, with a comment on every column, even if they have no rows yet: a scope that you start to
    collect tomorrow needs no new statement. DuckDB cannot read tables without files, so those are declared empty: run
    the command again when they have rows.

    \b
      collector ddl --engine duckdb | duckdb lake.duckdb
      collector ddl --engine athena --table app_days
      collector ddl --engine bigquery --lake gs://bucket/prefix
      collector ddl --engine athena --register glue --database analytics
    """
    config = load_config(ctx, secrets=False)
    if lake is not None:
        config = replace(config, lake=lake if "://" in lake or lake.startswith("@") else str(Path(lake).absolute()))
    lines = _statements(engine, config, names) if register is None else _registered(engine, config, names, database)
    for line in lines:
        click.echo(line)


def _statements(engine: str, config: Config, names: tuple[str, ...]) -> list[str]:
    """Each statement with its semicolon and an empty line. All are built first: a refusal prints no statement."""
    from collector.query.engines import get_engine
    from collector.query.engines.engine import lake_location, refuse_links, table_files
    from collector.query.views import ddl_statements

    refuse_links(lake_location(config))
    location = lake_location(config, table_files(open_lake(config)) if engine == "duckdb" else None)
    return [f"{text};\n" for text in ddl_statements(get_engine(engine), location, names)]


def _registered(engine: str, config: Config, names: tuple[str, ...], database: str) -> Iterator[str]:
    from collector.query.glue import register_in_glue

    if engine != "athena":
        raise QueryRefused("the Glue catalog uses Athena's definitions: write --engine athena --register glue")
    return register_in_glue(config, names, database)


def _open_session(config: Config) -> Session:
    """DuckDB over the lake. Raises QueryRefused where DuckDB is not installed, LakeError."""
    try:
        from collector.query.session import Session
    except ModuleNotFoundError as error:
        if error.name != "duckdb":
            raise
        # DuckDB by its own name: anybody could publish something under this package's.
        raise QueryRefused(
            "sql requires DuckDB: in a checkout, run make setup EXTRA='[sql]'; elsewhere, "
            f"{shlex.quote(sys.executable)} -m pip install duckdb"
        ) from error
    from collector.query.engines.engine import lake_location

    session = Session(lake_location(config), open_lake(config))
    if session.is_empty:
        click.echo(f"the lake {config.lake} is empty; `collector run` fills it", err=True)
    return session


def _run_statements(session: Session, text: str, result_format: str, output: Path | None) -> None:
    """Execute the statements and write their results. Raises QueryRefused, LakeError.

    Tables on stdout are written one by one, as they come. Any other output holds one result, so it is written only
    once it is known that there is exactly one.
    """
    from collector.query.output import Format, write_result

    results = session.execute(text)
    if result_format == Format.TABLE and output is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for result in results:
            write_result(result, Format.TABLE, sys.stdout.buffer, width)
            sys.stdout.buffer.flush()
        return
    found = list(results)
    if len(found) != 1:
        raise QueryRefused(f"{len(found)} results: --format and --output take one statement that returns rows")
    if output is None:
        write_result(found[0], Format(result_format), sys.stdout.buffer)
        return
    try:
        with output.open("wb") as stream:
            write_result(found[0], Format(result_format), stream)
    except OSError as error:
        raise QueryRefused(f"cannot write {output}: {error.strerror}") from error


def _refuse_output_in_lake(output: Path, config: Config) -> None:
    """Raise QueryRefused where a result would become, or replace, a file of the lake."""
    from collector.lake.paths import INTERNAL
    from collector.lake.tables import TABLES

    if "://" not in config.lake:
        lake, target = Path(config.lake).resolve(), output.resolve()
        for name in (INTERNAL, *(table.name for table in TABLES)):
            if target.is_relative_to(lake / name):
                raise QueryRefused(f"--output {output} is in {lake / name}, which holds the lake's own files alone")


def _prompt(execute: Callable[[str], None]) -> None:
    import readline  # noqa: F401  # line editing and history for input()
    import signal

    from collector.query.output import interactive_prompt

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C drops a line and keeps the prompt
    try:
        interactive_prompt(input, execute, lambda text: click.echo(text, nl=False))
    finally:
        signal.signal(signal.SIGINT, previous)
