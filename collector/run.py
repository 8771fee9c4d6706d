"""The nightly run, whole: read this first.

config -> coverage -> plan -> windows -> lanes -> answers -> journal -> merge -> land -> summary

In: a config, an order (what the command line asked for), and the world (clock, stores, network, randomness: everything
with an effect). Out: a summary, and a lake that has converged to what the config wants as far as the API answered.
It keeps no state but the lake, and no workspace waits for another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from collector.lake import metadata
from collector.lake.store import LakeError, LakeRefused
from collector.summary import Summary
from collector.windows import limit_requests
from collector.workspace_run import WorkspaceRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from collector.clock import Clock
    from collector.config.settings import Config
    from collector.environment import Environment, RunOptions
    from collector.fetch.fetcher import FetchProgress

    Watch = Callable[[Sequence[FetchProgress], Clock], AbstractAsyncContextManager[None]]


async def run(config: Config, options: RunOptions, env: Environment, watch: Watch) -> Summary:
    """Make the lake converge to the config; the summary tells the rest. Raises LakeRefused, nothing fetched then."""
    began = env.clock.monotonic()
    refuse_what_must_not_mix(config, env)
    turns = [WorkspaceRun(workspace, options, env) for workspace in config.workspaces]
    async with asyncio.TaskGroup() as keepers:
        try:
            for turn in turns:
                await turn.begin(keepers)
            plans = limit_requests([turn.windows() for turn in turns], options.max_requests)
            async with watch([turn.lane.progress for turn in turns], env.clock), asyncio.TaskGroup() as lanes:
                for turn, (windows, beyond) in zip(turns, plans, strict=True):
                    lanes.create_task(turn.collect(windows, beyond))
        finally:
            for turn in turns:
                await turn.end()
    seconds = env.clock.monotonic() - began
    return Summary(options.run_id, options.as_of, seconds, tuple(turn.summary() for turn in turns), env.stop.exit_code)


def refuse_what_must_not_mix(config: Config, env: Environment) -> None:
    """Raise LakeRefused where a workspace's rows would mean something else than those in the lake."""
    for workspace in config.workspaces:
        try:
            metadata.check_metadata(env.store(workspace.name), workspace.name, workspace.timezone.key)
        except LakeRefused:
            raise
        except LakeError:
            continue  # that workspace's own turn tells it, and the others have theirs
