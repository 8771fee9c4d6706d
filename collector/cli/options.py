"""Options that several commands share, and how a command ends: as lines that users can act on, and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from collector.cli.types import DateType, InstantType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Command = TypeVar("Command", bound=Callable[..., Any])


DEFAULT_CONFIG = "config/collector.yaml"

GLOBAL = (
    click.Option(
        ["-c", "--config"],
        metavar="FILE",
        envvar="COLLECTOR_CONFIG",
        show_envvar=True,
        help=f"The config file.  [default: {DEFAULT_CONFIG}]",
    ),
    click.Option(["-v", "--verbose"], count=True, help="Say more: -v each step, -vv each request."),
    click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but warnings and failures."),
    click.Option(["--log-format"], type=click.Choice(["text", "json"]), help="How log lines look.  [default: text]"),
)


class CollectorCommand(click.Command):
    """A command that takes the global options behind its name too, where people also write them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += GLOBAL

    def invoke(self, ctx: click.Context) -> Any:
        """Hand the global options up to where those in front of the name stand."""
        for option in GLOBAL:
            value = ctx.params.pop(str(option.name))
            if value and ctx.get_parameter_source(str(option.name)) is not click.core.ParameterSource.ENVIRONMENT:
                ctx.find_root().params[str(option.name)] = value
        return super().invoke(ctx)


class CollectorGroup(click.Group):
    """Turns what users can mend into a line a mistake and an exit code; anything else is a bug and shows its trace."""

    command_class = CollectorCommand

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from collector.config.mistakes import ConfigError
        from collector.lake.store import LakeError, LakeRefused

        try:
            with ignore_broken_pipe():
                return super().invoke(ctx)
        except ConfigError as error:
            for mistake in error.mistakes:
                click.echo(str(mistake), err=True)
            ctx.exit(2)
        except LakeRefused as error:
            click.echo(f"collector: {error}", err=True)
            ctx.exit(2)
        except LakeError as error:
            click.echo(f"collector: {error}", err=True)
            ctx.exit(5)


def selection_options(command: Command) -> Command:
    """What `run` and `plan` can be narrowed and bounded by."""
    for option in (
        click.option("--max-requests", type=click.IntRange(min=0), help="So many windows at most, newest first."),
        click.option("--to", "last", type=DateType(), help="Read again up to this local date, included."),
        click.option("--from", "first", type=DateType(), help="Read again from this local date on, covered or not."),
        click.option("--app", "apps", multiple=True, metavar="NAME", help="This app alone (repeatable)."),
        click.option("--workspace", "workspaces", multiple=True, metavar="NAME", help="This one alone (repeatable)."),
        click.option("--as-of", type=InstantType(), help="Take this instant for now.  [default: now]"),
    ):
        command = option(command)
    return command


@contextmanager
def ignore_broken_pipe() -> Iterator[None]:
    """Print to a reader who may leave early, as `| head` does: that ends the block, and is no failure."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write offends nobody


def global_option(ctx: click.Context, name: str) -> Any:
    """A global option's value, wherever on the line it stood."""
    return ctx.find_root().params.get(name)
