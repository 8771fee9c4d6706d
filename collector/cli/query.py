"""`collector sql` and `collector ddl` on the command line.

In: the config (without keys) and the lake's store, by callables that the composition root hands over. Out: answers and
statements on stdout, all else on stderr. Engines are imported only when a command runs, so that others start fast.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.config.settings import Config
    from collector.lake.store import Store

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
  collector ddl --engine athena --register glue --database analytics
"""


def query_commands(load: LoadConfig, open_lake: OpenLake) -> tuple[click.Command, ...]:
    """Build both commands. `load` and `open_lake` are called once the options have been read."""

    def sql(statement: str | None, kind: str, output: Path | None) -> None:
        from collector.query.output import refuse_bytes_on_a_terminal, run_statements, session

        config = load(click.get_current_context())
        refuse_bytes_on_a_terminal(kind, output)
        with session(config, open_lake(config)) as opened:
            run_statements(opened, statement, kind, output)

    def ddl(engine: str, lake: str | None, names: tuple[str, ...], register: str | None, database: str) -> None:
        from collector.query import glue

        config = load(click.get_current_context())
        if lake is not None:
            config = replace(config, lake=lake if "://" in lake or lake.startswith("@") else str(Path(lake).absolute()))
        if register is not None:
            for line in glue.register_in_glue(engine, config, names, database):
                click.echo(line)
            return
        store = open_lake(config) if engine == "duckdb" else None
        for statement in glue.create_statements(engine, config, store, names):
            click.echo(f"{statement};\n")

    return (
        click.Command("sql", callback=sql, params=list(_SQL_OPTIONS), help=_SQL_HELP),
        click.Command("ddl", callback=ddl, params=list(_DDL_OPTIONS), help=_DDL_HELP),
    )


_SQL_OPTIONS = (
    click.Argument(["statement"], required=False, help="What to carry out, in DuckDB's SQL."),
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
    click.Option(["--register"], type=click.Choice(("glue",)),
                 help="Create or update the tables in this catalog instead; with --engine athena."),
    click.Option(["--database"], default="sessions", show_default=True, metavar="NAME",
                 help="With --register: the catalog's database."),
)  # fmt: skip
