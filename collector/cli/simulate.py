"""`collector simulate`: the simulated API on the command line.

In: the config's workspaces, and options. Out: a server that runs until a signal, or with `--truth` a CSV of what a
complete collection must hold. The server is imported when it is started.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import click

from collector.cli.options import CollectorCommand, load_config
from collector.cli.types import DATE, FAULT_RATES, INSTANT, LATENCY
from collector.metrics import DEFAULT_METRICS, METRICS
from collector.simulator.options import (
    NEVER_LATE,
    Boundary,
    DayZone,
    Fault,
    Faults,
    HourFormat,
    LateOptions,
    Options,
    Order,
    PoolOptions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from enum import StrEnum

    from collector.config.settings import Workspace
    from collector.simulator.simulation import Simulation


_HELP = f"""Serve a simulated Braze API on this machine.

It answers GET requests for the series of every metric, and GET /segments/list, for the workspaces of the config, with
the parameters, headers, errors and hourly quotas of Braze. The counts are invented and are the same on each day and
machine. Set each workspace's `endpoint` to the printed URL: every command of the collector then works with it.

\b
Serve on http://127.0.0.1:8787:
  collector simulate
Serve the data of one morning, with one request in ten failing:
  collector simulate --now 2026-11-23T06:00:00Z --faults 500=0.07,429=0.03
Print what a complete collection of last week holds, as CSV:
  collector simulate --truth acme/ios/-/day --from 2026-11-16 --to 2026-11-22

Faults: {", ".join(fault.value for fault in Fault)}.
"""


def simulate_command(load_workspaces: Callable[[click.Context], Sequence[Workspace]]) -> click.Command:
    """Build the command. `load_workspaces` is called once the options have been read."""

    def run_simulator(**values: Any) -> None:
        workspaces = load_workspaces(click.get_current_context())
        simulation = _simulation(workspaces, values)
        if values["truth"] is not None:
            _print_truth(simulation, values)
        else:
            _serve(simulation, workspaces, values)

    return CollectorCommand("simulate", callback=run_simulator, params=list(OPTIONS), help=_HELP)


def announcement(url: str, workspaces: Sequence[Workspace], simulation: Simulation) -> list[str]:
    """What a user needs to start: the URL, keys for workspaces without one, a first request. No real key is shown."""
    from collector.simulator.sites import simulated_key

    keyless = [workspace for workspace in workspaces if workspace.api_key is None]
    lines = [f"simulated API at {url} for {', '.join(workspace.name for workspace in workspaces)}"]
    lines += [f"its clock is fixed at {simulation.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"] * simulation.pinned
    lines += [f"in the config: endpoint: {url}"]
    lines += [_where_to_write(workspace, simulated_key(workspace)) for workspace in keyless]
    key = simulated_key(keyless[0]) if keyless else f"${workspaces[0].key_variable or 'KEY'}"
    lines += [f'curl -H "Authorization: Bearer {key}" "{url}{METRICS[DEFAULT_METRICS[0]].path}?length=7"']
    return [*lines, "stop with Ctrl-C"]


def _load_workspaces(ctx: click.Context) -> Sequence[Workspace]:
    """The config's workspaces: with their keys where all are set, otherwise with none."""
    from collector.config.mistakes import ConfigError

    try:
        return load_config(ctx, secrets=True).workspaces
    except ConfigError:
        return load_config(ctx, secrets=False).workspaces


def _simulation(workspaces: Sequence[Workspace], values: Mapping[str, Any]) -> Simulation:
    from collector.simulator.simulation import Simulation

    if not workspaces:
        raise click.UsageError("the config has no workspace to serve")
    try:
        return Simulation(workspaces, _options(values), faults=_faults(values), now=values["now"])
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _options(values: Mapping[str, Any]) -> Options:
    return Options(
        seed=values["seed"],
        pool=PoolOptions(values["pool"], values["period"]),
        own_pool=values["own_pool"],
        late=LateOptions(values["late_share"], values["late_days"]) if values["restate"] else NEVER_LATE,
        hour_format=HourFormat(values["hour_format"]),
        boundary=Boundary(values["ending_at"]),
        day_zone=DayZone(values["day_zone"]),
        order=Order(values["order"]),
        extra_fields=values["extra_fields"],
        young=values["young"],
        absent_share=values["absent"],
        untracked=frozenset(values["untracked"]),
        dead=frozenset(values["dead"]),
        denied=frozenset(values["denied"]),
        latency_ms=values["latency"],
    )


def _faults(values: Mapping[str, Any]) -> Faults:
    retry_after = None if values["no_retry_after"] else values["retry_after"]
    return Faults(values["faults"], values["fault_attempts"], retry_after, values["slow_seconds"])


def _print_truth(simulation: Simulation, values: Mapping[str, Any]) -> None:
    from collector.simulator.control import expected_rows, read_series, span_of_names

    at = simulation.now
    try:
        site, key = read_series(simulation, values["truth"], values["metric"], values["event"])
        first, last = (day and day.isoformat() for day in (values["first"], values["last"]))
        span = span_of_names(site, key.unit, first, last, at)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"bucket,{key.metric}")
    for name, value in expected_rows(simulation, site, key, span, at):
        click.echo(f"{name},{value}")


def _serve(simulation: Simulation, workspaces: Sequence[Workspace], values: Mapping[str, Any]) -> None:
    import asyncio

    try:
        asyncio.run(_serve_until_signal(simulation, workspaces, values))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"cannot serve on {values['host']}:{values['port']}: {error}") from error


async def _serve_until_signal(
    simulation: Simulation, workspaces: Sequence[Workspace], values: Mapping[str, Any]
) -> None:
    import asyncio
    import signal

    from collector.show.text import count
    from collector.simulator.server import serve

    closing = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, closing.set)
    async with serve(simulation, values["host"], values["port"], allow_remote=values["allow_remote"]) as url:
        for line in announcement(url, workspaces, simulation):
            click.echo(line, err=True)
        await closing.wait()
    click.echo(f"stopped after {count(simulation.request_log.requests, 'request')}", err=True)


def _where_to_write(workspace: Workspace, key: str) -> str:
    """How the made-up key gets to where the config looks for it."""
    if workspace.key_variable is not None:
        return f"export {workspace.key_variable}={key}"
    return f"in the api_key_file of {workspace.name}: {key}"


def _choice(kind: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([member.value for member in kind])


def _option(*names: str, **settings: Any) -> click.Option:
    return click.Option(list(names), show_default=settings.get("default") not in (None, (), ""), **settings)


_POSITIVE, _NOT_NEGATIVE, _SHARE = click.IntRange(1), click.IntRange(0), click.FloatRange(0, 1)

OPTIONS = (
    _option("--port", metavar="PORT", type=click.IntRange(0, 65535), default=8787,
            help="The port; 0 takes a free one."),
    _option("--host", metavar="ADDRESS", default="127.0.0.1", help="The address; loopback unless --allow-remote."),
    _option("--allow-remote", is_flag=True, help="Allow a --host that other machines can reach."),
    _option("--now", type=INSTANT, help="Fix the clock of the data at this instant.  [default: the current time]"),
    _option("--seed", metavar="N", type=int, default=0, help="Seed of the invented counts and of the faults."),
    _option("--latency", type=LATENCY, default="0", help="Milliseconds that a response takes: 20, or 5-50."),
    _option("--pool", metavar="N", type=_POSITIVE, default=250_000, help="Quota: requests of a workspace in a period."),
    _option("--own-pool", metavar="N", type=_POSITIVE,
            help="The same for paths with a quota of their own, such as purchases.  [default: theirs]"),
    _option("--period", metavar="SECONDS", type=_POSITIVE, default=3600, help="Length of the quota's period."),
    _option("--faults", type=FAULT_RATES, default="", help="Faults, by share of the attempts: 500=0.05,reset=0.01."),
    _option("--fault-attempts", metavar="N", type=_POSITIVE, help="Only a request's first N attempts can fail."),
    _option("--retry-after", metavar="SECONDS", type=_NOT_NEGATIVE, default=1, help="Retry-After of an injected 429."),
    _option("--no-retry-after", is_flag=True, help="Send injected 429s without Retry-After."),
    _option("--slow-seconds", metavar="SECONDS", type=click.FloatRange(0), default=5.0,
            help="Duration of a slow response."),
    _option("--hour-format", type=_choice(HourFormat), default="offset", help="How the time of an hour is written."),
    _option("--ending-at", type=_choice(Boundary), default="inclusive",
            help="Whether an ending_at at the start of a bucket includes that bucket."),
    _option("--day-zone", type=_choice(DayZone), default="workspace", help="The time zone of daily buckets."),
    _option("--order", type=_choice(Order), default="sorted", help="The order of the points."),
    _option("--extra-fields", is_flag=True, help="Add undocumented fields to each point."),
    _option("--restate/--no-restate", default=True, help="Whether sessions arrive late, so that counts still rise."),
    _option("--late-share", metavar="SHARE", type=click.FloatRange(0, 0.99), default=0.08,
            help="Largest share of an hour that arrives late."),
    _option("--late-days", metavar="DAYS", type=click.IntRange(0, 365), default=10,
            help="Days until all sessions have arrived."),
    _option("--young/--no-young", default=True, help="Whether an app has no points before its own start."),
    _option("--absent", metavar="SHARE", type=_SHARE, default=0.0, help="Share of buckets that are not reported."),
    _option("--untracked", multiple=True, metavar="NAME", help="A segment that reports only zeros (repeatable)."),
    _option("--dead", multiple=True, metavar="NAME", help="An app or segment that the API does not know (repeatable)."),
    _option("--denied", multiple=True, metavar="NAME",
            help="A workspace, or a metric of it (acme/dau), that its key has no permission for (repeatable)."),
    _option("--truth", metavar="SERIES", help="Print the true counts as CSV: WORKSPACE/APP/SEGMENT/UNIT, - for all."),
    _option("--metric", type=click.Choice(list(METRICS)), default=DEFAULT_METRICS[0], help="With --truth: the metric."),
    _option("--event", metavar="NAME", help="With --truth: the event, of a metric that has events."),
    _option("--from", "first", type=DATE, help="With --truth: first local date.  [default: 14 days in all]"),
    _option("--to", "last", type=DATE, help="With --truth: last local date, included.  [default: today]"),
)  # fmt: skip
"""Every option of the command, in the order of its help."""

simulate = simulate_command(_load_workspaces)
