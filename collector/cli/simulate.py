"""`collector simulate`: the stand-in API on the command line.

In: workspaces (from the config, by a callable that the composition root hands over) and options. Out: a server until a
signal ends it, or with `--truth` a CSV of what a complete collection must hold. The server itself is imported only when
it is started, so that other commands start fast.
"""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC
from typing import TYPE_CHECKING, Any

import click

from collector.simulator.arguments import INSTANT, LATENCY, RATES, faults_from, options_from
from collector.simulator.control import expected_rows, read_series, span_of_names
from collector.simulator.options import Boundary, DayZone, Fault, HourFormat, Order
from collector.simulator.simulation import Simulation
from collector.simulator.sites import simulated_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from enum import StrEnum

    from collector.config.settings import Workspace


_HELP = f"""Serve a stand-in for the Braze API on this machine.

It answers GET /sessions/data_series and GET /segments/list for the workspaces of the config: the same parameters,
headers, errors and hourly pool, with made-up sessions that are the same on each day and machine. Set each workspace's
`endpoint` to the URL that it prints, and every command of the collector works against it.

\b
Serve on http://127.0.0.1:8787:
  collector simulate
As on one morning, with one request in ten failing:
  collector simulate --now 2026-11-23T06:00:00Z --faults 500=0.05,503=0.03,429=0.02
What a complete collection of last week holds, as CSV:
  collector simulate --truth acme/ios/-/day --from 2026-11-16 --to 2026-11-22

Faults: {", ".join(fault.value for fault in Fault)}.
"""


def simulate_command(load_workspaces: Callable[[click.Context], Sequence[Workspace]]) -> click.Command:
    """Build the command. `load_workspaces` is called once the options have been read."""

    def simulate(**values: Any) -> None:  # one value for each of OPTIONS, which click has read and typed
        context = click.get_current_context()
        workspaces = load_workspaces(context)
        simulation = _simulation(workspaces, values)
        if values["truth"] is not None:
            _print_truth(simulation, values)
        else:
            _serve(simulation, workspaces, values)

    return click.Command("simulate", callback=simulate, params=list(OPTIONS), help=_HELP)


def _simulation(workspaces: Sequence[Workspace], values: dict[str, Any]) -> Simulation:
    if not workspaces:
        raise click.UsageError("the config has no workspace to serve")
    try:
        return Simulation(workspaces, options_from(values), faults=faults_from(values), now=values["now"])
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _print_truth(simulation: Simulation, values: dict[str, Any]) -> None:
    at = simulation.now
    try:
        site, key = read_series(simulation, values["truth"])
        span = span_of_names(site, key.unit, values["first"], values["last"], at)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo("bucket,sessions")
    for name, sessions in expected_rows(simulation, site, key, span, at):
        click.echo(f"{name},{sessions}")


def _serve(simulation: Simulation, workspaces: Sequence[Workspace], values: dict[str, Any]) -> None:
    try:
        asyncio.run(_serve_until_signal(simulation, workspaces, values))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"cannot serve on {values['host']}:{values['port']}: {error}") from error


async def _serve_until_signal(simulation: Simulation, workspaces: Sequence[Workspace], values: dict[str, Any]) -> None:
    from collector.simulator.server import serve

    closing = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, closing.set)
    async with serve(simulation, values["host"], values["port"], allow_remote=values["allow_remote"]) as url:
        for line in announcement(url, workspaces, simulation):
            click.echo(line, err=True)
        await closing.wait()
    click.echo(f"stopped after {simulation.request_log.requests} requests", err=True)


def announcement(url: str, workspaces: Sequence[Workspace], simulation: Simulation) -> list[str]:
    """What a user needs to go on: the URL, keys for the workspaces that have none, a first request. No real key."""
    keyless = [workspace for workspace in workspaces if workspace.api_key is None]
    lines = [f"stand-in API at {url} for {', '.join(workspace.name for workspace in workspaces)}"]
    lines += [f"its clock stands at {simulation.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"] * simulation.pinned
    lines += [f"in the config: endpoint: {url}"]
    lines += [f"export {_variable(workspace.name)}={simulated_key(workspace)}" for workspace in keyless]
    key = simulated_key(keyless[0]) if keyless else "$" + _variable(workspaces[0].name)
    lines += [f"curl -H 'Authorization: Bearer {key}' '{url}/sessions/data_series?length=7'".replace("'", '"')]
    return [*lines, "stop with Ctrl-C"]


def _variable(workspace: str) -> str:
    return f"BRAZE_API_KEY_{workspace.upper().replace('-', '_')}"


def _choice(kind: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([member.value for member in kind])


def _option(*names: str, **settings: Any) -> click.Option:
    return click.Option(list(names), show_default=settings.get("default") not in (None, (), ""), **settings)


OPTIONS = (
    _option("--port", type=click.IntRange(0, 65535), default=8787, help="0 takes a free port."),
    _option("--host", default="127.0.0.1", help="The address to listen on; loopback only."),
    _option("--allow-remote", is_flag=True, help="Let --host be an address that other machines can reach."),
    _option("--now", type=INSTANT, help="Pin the data's clock: ISO 8601 with an offset. Default: real time."),
    _option("--seed", type=int, default=0, help="Another seed is another world: other counts, other faults."),
    _option("--latency", type=LATENCY, default="0", help="Milliseconds that an answer takes: 20, or 5-50."),
    _option("--pool", type=click.IntRange(1), default=250_000, help="Requests in each period, for each workspace."),
    _option("--period", type=click.IntRange(1), default=3600, help="Seconds of the clock until the pool refills."),
    _option("--faults", type=RATES, default="", help="What goes wrong, by share of the attempts: 500=0.05,reset=0.01."),
    _option("--fault-attempts", type=click.IntRange(1), help="Only so many first attempts of a request can fail."),
    _option("--retry-after", type=click.IntRange(0), default=1, help="Seconds that an injected 429 tells to wait."),
    _option("--no-retry-after", is_flag=True, help="Injected 429s come without Retry-After."),
    _option("--slow-seconds", type=click.FloatRange(0), default=5.0, help="What a slow answer takes."),
    _option("--hour-format", type=_choice(HourFormat), default="offset", help="How an hour's time is written."),
    _option("--ending-at", type=_choice(Boundary), default="inclusive",
            help="Whether an ending_at on a boundary includes the bucket that starts there."),
    _option("--day-zone", type=_choice(DayZone), default="workspace", help="The zone in which a day is cut."),
    _option("--order", type=_choice(Order), default="sorted", help="The order of the points."),
    _option("--extra-fields", is_flag=True, help="Add fields to each point that no page tells of."),
    _option("--restate/--no-restate", default=True, help="Whether sessions arrive late, so that counts still rise."),
    _option("--late-share", type=click.FloatRange(0, 0.99), default=0.08, help="The most that an hour lacks at first."),
    _option("--late-days", type=click.IntRange(0, 365), default=10, help="Days until nothing is late any more."),
    _option("--young/--no-young", default=True, help="Whether an app has no points before its own start."),
    _option("--absent", type=click.FloatRange(0, 1), default=0.0, help="The share of buckets that are not reported."),
    _option("--untracked", multiple=True, metavar="NAME", help="A segment that answers zeros. Repeatable."),
    _option("--dead", multiple=True, metavar="NAME", help="An app or segment that the API does not know. Repeatable."),
    _option("--denied", multiple=True, metavar="NAME", help="A workspace whose key lacks permission. Repeatable."),
    _option("--truth", metavar="SERIES", help="Print the truth as CSV: WORKSPACE/APP/SEGMENT/UNIT, - for all."),
    _option("--from", "first", metavar="DATE", help="With --truth: the first local date. Default: 14 days in all."),
    _option("--to", "last", metavar="DATE", help="With --truth: the last local date, included. Default: today."),
)  # fmt: skip
"""Every option of the command, in the order of its help."""
