"""The commands that collect and look after the lake: run, plan, status, validate, repair, schema."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from collector.cli.options import (
    CollectorCommand,
    global_option,
    load_config,
    print_json,
    select,
    selection_options,
    workspace_option,
)
from collector.cli.streams import one_message, print_outcome
from collector.cli.types import DATE, DEADLINE, DURATION, INSTANT

if TYPE_CHECKING:
    from datetime import date

    from collector.summary import Summary


@click.command(cls=CollectorCommand, short_help="Collect what is wanted and missing: the nightly job.")
@selection_options
@click.option("--deadline", type=DEADLINE, help="Finish by then, with all answers landed: 06:30, 45m or 2h.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_context
def run(ctx: click.Context, /, as_json: bool, deadline: float | None, max_requests: int | None, **values: Any) -> None:
    """Collect what the config wants and the lake lacks: the nightly job.

    \b
    Every night, from a scheduler:
      collector --config collector.yaml run --deadline 06:30
    Read a week again:
      collector run --from 2026-11-01 --to 2026-11-07
    Start a large backfill, newest first:
      collector run --max-requests 500
    """
    from functools import partial

    from collector import commands
    from collector.environment import RunOptions
    from collector.show.progress import watch

    config, selection = select(load_config(ctx, secrets=True), values)
    now = _now()
    as_of = values["as_of"]
    options = RunOptions(commands.new_run_id(now), as_of or now, selection, max_requests, as_of_given=as_of is not None)
    quiet = bool(global_option(ctx, "quiet"))
    display = partial(watch, stream=sys.stderr, quiet=quiet, terminal=sys.stderr.isatty())
    new_lake = config.lake if commands.make_ready(config) else None
    try:
        summary = commands.run_collection(config, options, display, deadline)
    except commands.RunCancelled as cancelled:
        ctx.exit(cancelled.exit_code)
    if as_json:
        print_outcome(lambda: print_json(summary.as_json()))
    print_outcome(lambda: _print_run(summary, new_lake, sys.stderr if as_json else sys.stdout))
    ctx.exit(summary.exit_code)


def _now() -> datetime:
    """The present instant, in UTC: whole seconds, as people write an `as_of`."""
    return datetime.now(UTC).replace(microsecond=0)


def _print_run(summary: Summary, new_lake: str | None, out: TextIO) -> None:
    from collector.show.summary import print_summary
    from collector.show.text import TextOutput

    code = summary.exit_code
    level = logging.ERROR if code in (1, 5) else logging.WARNING if code else logging.INFO
    with one_message(level, run_id=summary.run_id, exit_code=code):
        if new_lake is not None:
            TextOutput(out).line(f"the lake {new_lake} is new: this run made it", "bold")
        print_summary(summary, out, sys.stderr)


@click.command(cls=CollectorCommand)
@selection_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
@click.pass_context
def plan(ctx: click.Context, /, as_json: bool, max_requests: int | None, **values: Any) -> None:
    """Show what a run would request, why, and what it costs. No request is sent.

    A request covers one window: up to 100 days or hours of one series. `new` windows are newer than all that is
    covered, `gap` windows fill holes and earlier dates, `lookback` windows read again what late sessions may have
    changed, and `forced` windows are those of --from and --to.
    """
    from collector import commands
    from collector.show.plan import plan_report, print_plan

    config, selection = select(load_config(ctx, secrets=False), values)
    plans = commands.plan_all(config, values["as_of"] or _now(), selection, max_requests)
    report = plan_report(plans)
    if as_json:
        print_json(report.as_json())
    else:
        print_plan(report, sys.stdout)


@click.command(cls=CollectorCommand)
@workspace_option
@click.option(
    "--as-of", type=INSTANT, help="Measure by this instant.  [default: the last run's own, or the current time]"
)
@click.option("--complete-through", type=DATE, help="Exit with 0 if all is there up to the end of this local date.")
@click.option("--max-lag", type=DURATION, help="Exit with 0 if no workspace is further behind, such as 30h.")
@click.option("--series", "with_series", is_flag=True, help="Also a line for each series.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as one JSON object.")
@click.pass_context
def status(
    ctx: click.Context,
    /,
    workspaces: tuple[str, ...],
    as_of: datetime | None,
    complete_through: date | None,
    max_lag: float | None,
    with_series: bool,
    as_json: bool,
) -> None:
    """Is the night right? What is wanted and what is there, from the lake alone: no key, no request, no lock.

    What counts is what was wanted at the last run; after more than 26 hours without one, what is wanted now.

    \b
    Exit codes:
      0  everything wanted is there, or the given condition holds
      3  something wanted is missing, no run has been, or the condition does not hold
    For jobs that come after the night:
      collector status --complete-through 2026-11-22
      collector status --max-lag 30h
    """
    from collector import commands
    from collector.show.status import exit_code, print_status, status_json

    config, _ = select(load_config(ctx, secrets=False), {"workspaces": workspaces})
    found, now = commands.status_all(config, as_of, days=60), as_of or _now()
    if as_json:
        print_json(status_json(found, now, with_series=with_series))
    else:
        print_status(found, now, sys.stdout, with_series=with_series)
    ctx.exit(exit_code(found, complete_through, max_lag))


@click.command(cls=CollectorCommand, short_help="Check the config file.")
@click.option("--no-secrets", is_flag=True, help="Do not read the API keys.")
@click.pass_context
def validate(ctx: click.Context, no_secrets: bool) -> None:
    """Check the config file: every mistake, with its line and what to write instead."""
    config = load_config(ctx, secrets=not no_secrets)
    from collector.plan import configured_series
    from collector.show.text import count

    for workspace in config.workspaces:
        series = sum(1 for _ in configured_series(workspace))
        figures = (
            count(len(workspace.apps), "app"),
            count(len(workspace.segments), "segment"),
            count(series, "series", "series"),
        )
        click.echo(f"{workspace.name}: {', '.join(figures)}")
    click.echo(f"the config is valid; its lake is {config.lake}")


@click.command(cls=CollectorCommand, short_help="Quarantine damaged files of the lake.")
@workspace_option
@click.option("--dry-run", is_flag=True, help="Report damaged files and leave them in place.")
@click.option("--foreign", is_flag=True, help="Also quarantine files that the collector did not write.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_context
def repair(ctx: click.Context, /, workspaces: tuple[str, ...], dry_run: bool, foreign: bool, as_json: bool) -> None:
    """Read every file of the lake and quarantine those that are damaged. The next run fetches their data again.

    Nothing is deleted: damaged files are moved to _collector/WORKSPACE/quarantine/ in the lake.

    \b
    Exit codes:
      0  every file that is left in place is intact
      4  another run holds a workspace
      5  a damaged or foreign file was left in place, or the lake failed
    """
    from collector import commands
    from collector.lake.repair import RepairOptions, exit_code
    from collector.show.summary import print_repair, repair_json

    config, _ = select(load_config(ctx, secrets=False), {"workspaces": workspaces})
    results, unowned = commands.repair_all(config, RepairOptions(dry_run, foreign))
    if as_json:
        print_outcome(lambda: print_json(repair_json(results, unowned)))
    print_outcome(lambda: print_repair(results, unowned, dry_run=dry_run, out=sys.stderr if as_json else sys.stdout))
    ctx.exit(exit_code(results, unowned))


@click.command(cls=CollectorCommand)
def schema() -> None:
    """Print the JSON Schema of the config file, for editors.

    \b
    With the YAML language server, save it and name it in the config's first line:
      collector schema > collector.schema.json
      # yaml-language-server: $schema=collector.schema.json
    """
    from collector.config.schema import schema as config_schema

    print_json(config_schema(), indented=True)
