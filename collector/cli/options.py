"""What all commands share: global options, reading the config, and turning errors into a message and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from collector.cli.streams import OutputLost, ignore_broken_pipe, json_lines, report, wants_json
from collector.cli.types import DATE, INSTANT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from collector.config.settings import Config
    from collector.lake.store import Store
    from collector.plan import Selection

    Command = TypeVar("Command", bound=Callable[..., Any])


DEFAULT_CONFIG = "config/collector.yaml"

GLOBAL_OPTIONS = (
    click.Option(
        ["-c", "--config"],
        type=click.Path(),
        metavar="FILE",
        envvar="COLLECTOR_CONFIG",
        show_envvar=True,
        help=f"The config file.  [default: {DEFAULT_CONFIG}]",
    ),
    click.Option(["-v", "--verbose"], count=True, help="Log more: -v each step, -vv each request."),
    click.Option(["-q", "--quiet"], is_flag=True, help="Print only warnings and errors."),
    click.Option(["--log-format"], type=click.Choice(["text", "json"]), help="Format of log lines.  [default: text]"),
)


class CollectorCommand(click.Command):
    """A command that accepts the global options after its name, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += GLOBAL_OPTIONS

    def invoke(self, ctx: click.Context) -> Any:
        """Move global options to the root context, then run the command."""
        for option in GLOBAL_OPTIONS:
            value = ctx.params.pop(str(option.name))
            # A value from the environment must not override an option that was written before the command's name.
            if value and ctx.get_parameter_source(str(option.name)) is not click.core.ParameterSource.ENVIRONMENT:
                ctx.find_root().params[str(option.name)] = value
        return super().invoke(ctx)


class CollectorGroup(click.Group):
    """Reports expected errors as one line each, with an exit code. Any other exception is a bug and keeps its trace."""

    command_class = CollectorCommand

    def main(self, *given: Any, **named: Any) -> Any:
        """Run the command line. With `--log-format json`, each line of stderr is one object, whatever is wrong."""
        arguments = given[0] if given else named.get("args")
        if not wants_json(sys.argv[1:] if arguments is None else arguments):
            try:
                return super().main(*given, **named)
            except OutputLost as lost:  # of shell completion, which click does in front of all else
                lost.show()
                sys.exit(lost.exit_code)
        with json_lines() as lines:
            try:
                code = super().main(*given, **named | {"standalone_mode": False})
            except click.ClickException as error:
                lines.record(logging.ERROR, error.format_message())
                code = error.exit_code
            except click.Abort:
                code = 1
        sys.exit(code)  # None, where the command has no code of its own: 0

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Names in the order in which the commands were added, not in that of the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from collector.api.network import NetworkError
        from collector.config.mistakes import ConfigError
        from collector.lake.store import LakeError, LakeRefused
        from collector.query import QueryRefused

        try:
            with ignore_broken_pipe():
                return super().invoke(ctx)
        except ConfigError as error:
            for mistake in error.mistakes:
                report(str(mistake), file=mistake.file, line=mistake.line, key=mistake.path)
            ctx.exit(2)
        except (LakeRefused, NetworkError, QueryRefused) as error:
            report(f"collector: {error}")
            ctx.exit(2)
        except LakeError as error:
            report(f"collector: {error}")
            ctx.exit(5)


def global_option(ctx: click.Context, name: str) -> Any:
    """A global option's value, wherever on the command line it was written."""
    return ctx.find_root().params.get(name)


def load_config(ctx: click.Context, *, secrets: bool) -> Config:
    """Read the config and set up logging as the global options say. Raises ConfigError."""
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


def open_lake(config: Config) -> Store:
    """The lake, for reading: the store of any workspace shows all of it. Raises LakeError."""
    from collector.lake.presence import find_lake
    from collector.lake.stores import open_store

    store = open_store(config.lake, config.workspaces[0].name, config.storage)
    if config.require_lake:
        find_lake(config, store)
    return store


def workspace_option(command: Command) -> Command:
    """`--workspace NAME`, completed with the names in the config."""
    return click.option(
        "--workspace",
        "workspaces",
        multiple=True,
        metavar="NAME",
        shell_complete=_complete_workspace,
        help="Only this workspace (repeatable).",
    )(command)


def selection_options(command: Command) -> Command:
    """The options that narrow and bound `run` and `plan`."""
    for option in (
        click.option(
            "--max-requests",
            type=click.IntRange(min=0),
            metavar="N",
            help="At most this many windows, newest first. A retry is one more request of the same window.",
        ),
        click.option("--to", "last", type=DATE, help="Last local date to read again, included."),
        click.option("--from", "first", type=DATE, help="Read again from this local date, even if it is covered."),
        click.option(
            "--app",
            "apps",
            multiple=True,
            metavar="NAME",
            shell_complete=_complete_app,
            help="Only this app (repeatable).",
        ),
        click.option(
            "--segment",
            "segments",
            multiple=True,
            metavar="NAME",
            shell_complete=_complete_segment,
            help="Only series of this segment (repeatable).",
        ),
        click.option(
            "--metric",
            "metrics",
            multiple=True,
            metavar="NAME",
            shell_complete=_complete_metric,
            help="Only this metric (repeatable).",
        ),
        workspace_option,
        click.option("--as-of", type=INSTANT, help="Use this instant as now.  [default: the current time]"),
    ):
        command = option(command)
    return command


def select(config: Config, values: dict[str, Any]) -> tuple[Config, Selection]:
    """The config with the selected workspaces alone, and the selection within them. Raises UsageError."""
    from dataclasses import replace

    from collector.plan import Selection

    first, last = values.get("first"), values.get("last")
    if last is not None and first is None:
        raise click.UsageError("--to requires --from: add the first date to read again")
    if last is not None and first > last:
        raise click.UsageError(f"--from {first} is later than --to {last}")
    names = _require_known("workspace", values["workspaces"], (workspace.name for workspace in config.workspaces))
    workspaces = tuple(workspace for workspace in config.workspaces if not names or workspace.name in names)
    known_apps = (app.name for workspace in workspaces for app in workspace.apps)
    apps = _require_known("app", values.get("apps", ()), known_apps)
    known_segments = (segment.name for workspace in workspaces for segment in workspace.segments)
    segments = _require_known("segment", values.get("segments", ()), known_segments)
    known_metrics = (metric.name for workspace in workspaces for metric in workspace.metrics)
    metrics = _require_known("metric", values.get("metrics", ()), known_metrics)
    return replace(config, workspaces=workspaces), Selection(apps, first, last, segments, metrics)


def print_json(value: dict[str, Any], *, indented: bool = False) -> None:
    """Print one JSON object to stdout, on one line unless it is to be indented."""
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None))


def _require_known(kind: str, given: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """The given names, all of which must be known. Raises UsageError with the nearest known name."""
    import difflib

    names, known = frozenset(given), sorted(set(known))
    for name in sorted(names.difference(known)):
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise click.UsageError(f"the config has no {kind} {name!r}; {hint}")
    return names


def _complete_workspace(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _matching((workspace.name for workspace in _config_for_completion(ctx)), incomplete)


def _complete_app(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    workspaces = _config_for_completion(ctx)
    return _matching((app.name for workspace in workspaces for app in workspace.apps), incomplete)


def _complete_segment(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    workspaces = _config_for_completion(ctx)
    return _matching((segment.name for workspace in workspaces for segment in workspace.segments), incomplete)


def _complete_metric(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    workspaces = _config_for_completion(ctx)
    return _matching((metric.name for workspace in workspaces for metric in workspace.metrics), incomplete)


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})


def _config_for_completion(ctx: click.Context) -> tuple[Any, ...]:
    """The workspaces of the config that the unfinished command line names; none where it cannot be read."""
    from collector.config.load import load
    from collector.config.mistakes import ConfigError

    path = ctx.params.get("config") or global_option(ctx, "config") or DEFAULT_CONFIG
    with suppress(ConfigError):
        return load(Path(path), os.environ, secrets=False).workspaces
    return ()
