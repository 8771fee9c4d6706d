"""The command line: options in, exit codes out. What a command does is elsewhere, and imported when it is called."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import collector
from collector.cli.options import (
    DEFAULT_CONFIG,
    GLOBAL,
    CollectorCommand,
    CollectorGroup,
    global_option,
    ignore_broken_pipe,
    selection_options,
)
from collector.cli.query import query_commands
from collector.cli.simulate import simulate_command
from collector.cli.types import DeadlineType, require_known

if TYPE_CHECKING:
    from collector.config.settings import Config, Workspace
    from collector.lake.store import Store
    from collector.plan import Selection


@click.group(cls=CollectorGroup, params=list(GLOBAL), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(collector.__version__, "--version", prog_name="collector")
def cli(**_: Any) -> None:
    """Collect Braze session analytics of many apps and segments into a data lake of partitioned Parquet.

    The config declares the coverage you want; each run makes the lake converge to it.

    \b
    First steps:
      collector validate            is the config right?
      collector plan                what would a run ask for, and how long would it take?
      collector run                 the nightly job
    Without an account:
      collector simulate            a stand-in for the API on this machine

    \b
    Exit codes: 0 all planned windows answered; 2 config or usage; 3 some window failed or was skipped (the next run
    asks again); 4 another run holds a workspace; 5 the lake cannot be read or written; 130/143 interrupted.
    """


@cli.command()
@selection_options
@click.option("--deadline", type=DeadlineType(), help="End by then, what has come landed: 06:30, 45m or 2h.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_context
def run(ctx: click.Context, /, as_json: bool, deadline: float | None, max_requests: int | None, **asked: Any) -> None:
    """Collect what is wanted and not in the lake: the nightly job.

    \b
    Every night, from a scheduler:
      collector --config collector.yaml run --deadline 06:30
    Read a week again:
      collector run --from 2026-11-01 --to 2026-11-07
    A first look at a large backfill, newest first:
      collector run --max-requests 500
    """
    from functools import partial

    from collector import commands
    from collector.environment import RunOptions
    from collector.show.progress import watch
    from collector.show.summary import print_summary

    config, selection = _narrow(_load(ctx, secrets=True), asked)
    now = datetime.now(UTC)
    order = RunOptions(commands.new_run_id(now), asked["as_of"] or now, selection, max_requests)
    quiet = bool(global_option(ctx, "quiet"))
    watching = partial(watch, stream=sys.stderr, quiet=quiet, terminal=sys.stderr.isatty())
    try:
        summary = commands.run_collection(config, order, watching, deadline)
    except commands.RunCancelled as interrupted:
        ctx.exit(interrupted.exit_code)
    with ignore_broken_pipe():  # whoever reads no further changes nothing of what the run came to
        if as_json:
            _print_json(summary.as_json())
        print_summary(summary, sys.stderr if as_json else sys.stdout, sys.stderr)
    ctx.exit(summary.exit_code)


@cli.command()
@selection_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
@click.pass_context
def plan(ctx: click.Context, /, as_json: bool, max_requests: int | None, **asked: Any) -> None:
    """Show what a run would ask for, why, and what it costs. No request is made.

    A request is one window: up to 100 days or hours of one series. `new` windows are newer than all that is there,
    `gap` windows fill holes and earlier dates, `lookback` windows read again what late sessions may have changed.
    """
    from collector import commands
    from collector.show.plan import plan_report, print_plan

    config, selection = _narrow(_load(ctx, secrets=False), asked)
    plans = commands.plan_all(config, asked["as_of"] or datetime.now(UTC), selection, max_requests)
    report = plan_report(plans)
    if as_json:
        _print_json(report.as_json())
    else:
        print_plan(report, sys.stdout)


@cli.command()
@click.option("--no-secrets", is_flag=True, help="Do not look for the API keys.")
@click.pass_context
def validate(ctx: click.Context, no_secrets: bool) -> None:
    """Check the config alone: every mistake, each with its line and what to write instead."""
    config = _load(ctx, secrets=not no_secrets)
    from collector.plan import configured_series

    for workspace in config.workspaces:
        count = sum(1 for _ in configured_series(workspace))
        click.echo(f"{workspace.name}: {len(workspace.apps)} apps, {len(workspace.segments)} segments, {count} series")
    click.echo(f"the config is right; its lake is {config.lake}")


@cli.command()
@click.option("--workspace", "workspaces", multiple=True, metavar="NAME", help="This one alone (repeatable).")
@click.option("--dry-run", is_flag=True, help="Say what is damaged, and leave all as it is.")
@click.option("--foreign", is_flag=True, help="Move files aside, too, that are none of the collector's.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one JSON object.")
@click.pass_context
def repair(ctx: click.Context, /, workspaces: tuple[str, ...], dry_run: bool, foreign: bool, as_json: bool) -> None:
    """Read every file of the lake whole, and move aside what is damaged: the next run fetches it again.

    Nothing is removed: damaged files go to _collector/WORKSPACE/quarantine/ in the lake. Exit 0: all that is left is
    sound; 5: something was left that is not.
    """
    from collector import commands
    from collector.lake.repair import RepairOptions, exit_code
    from collector.show.summary import print_repair, repair_json

    config, _ = _narrow(_load(ctx, secrets=False), {"workspaces": workspaces})
    repairs, strays = commands.repair_all(config, RepairOptions(dry_run, foreign))
    if as_json:
        _print_json(repair_json(repairs, strays))
    print_repair(repairs, strays, dry_run=dry_run, out=sys.stderr if as_json else sys.stdout)
    ctx.exit(exit_code(repairs, strays))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the config file, for editors.

    \b
    With the YAML language server, save it and name it in the config's first line:
      collector schema > collector.schema.json
      # yaml-language-server: $schema=collector.schema.json
    """
    from collector.config.schema import schema as config_schema

    _print_json(config_schema())


def _workspaces(ctx: click.Context) -> tuple[Workspace, ...]:
    """For the stand-in: with their keys where all are set, else with none."""
    from collector.config.mistake import ConfigError

    try:
        return _load(ctx, secrets=True).workspaces
    except ConfigError:
        return _load(ctx, secrets=False).workspaces


def _lake(config: Config) -> Store:
    """The lake, for reading: any of its workspaces' stores shows all of it."""
    from collector.lake.stores import open_store

    return open_store(config.lake, config.workspaces[0].name, config.storage)


for _built in (
    simulate_command(_workspaces),
    *query_commands(lambda ctx: _load(ctx, secrets=False), _lake),
):
    cli.add_command(CollectorCommand(_built.name, callback=_built.callback, params=_built.params, help=_built.help))


def _load(ctx: click.Context, *, secrets: bool) -> Config:
    from collector.config.load import load
    from collector.show.logs import configure

    config = load(Path(global_option(ctx, "config") or DEFAULT_CONFIG), os.environ, secrets=secrets)
    verbose = global_option(ctx, "verbose") or 0
    level = logging.WARNING if global_option(ctx, "quiet") else logging.DEBUG if verbose else logging.INFO
    keys = [workspace.api_key for workspace in config.workspaces if workspace.api_key is not None]
    configure(level, global_option(ctx, "log_format") or "text", keys, sys.stderr, requests=verbose > 1)
    for warning in config.warnings:
        logging.getLogger(__name__).warning("%s", warning)
    return config


def _narrow(config: Config, asked: dict[str, Any]) -> tuple[Config, Selection]:
    """The config without the workspaces that were not named, and the rest of the selection."""
    from collector.plan import Selection

    first, last = asked.get("first"), asked.get("last")
    if last is not None and first is None:
        raise click.UsageError("--to needs --from: write the first date to read again, too")
    if last is not None and first > last:
        raise click.UsageError(f"--from {first} is later than --to {last}")
    chosen = require_known("workspace", asked["workspaces"], (workspace.name for workspace in config.workspaces))
    workspaces = tuple(workspace for workspace in config.workspaces if not chosen or workspace.name in chosen)
    apps = require_known("app", asked.get("apps", ()), (app.name for workspace in workspaces for app in workspace.apps))
    return replace(config, workspaces=workspaces), Selection(apps, first, last)


def _print_json(value: dict[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
