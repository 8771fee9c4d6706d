"""The nightly run. Read this first, then `workspace_run.py`.

config -> coverage -> plan -> windows -> requests -> answers -> journal -> merge -> landing -> summary

In: a config, the options of the command line, and the environment (clock, stores, network, randomness: everything that
has an effect). Out: a summary, and a lake that has converged to what the config wants, as far as the API answered.

Each workspace's run is one task, from its lock to its release, and shares nothing with the others but the process. The
run itself keeps no state: what it needs to know, the lake says.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from collector.summary import Summary
from collector.windows import limit_requests
from collector.workspace_run import WorkspaceRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from collector.clock import Clock
    from collector.config.settings import Config
    from collector.environment import Environment, RunOptions
    from collector.fetch.progress import FetchProgress

    Watch = Callable[[Sequence[FetchProgress], Clock], AbstractAsyncContextManager[None]]
    """Shows the progress of all workspaces while its block runs."""


async def run(config: Config, options: RunOptions, env: Environment, watch: Watch) -> Summary:
    """Request what the config wants and the lake lacks, and land it.

    Raises:
        LakeRefused: where the lake must not be mixed with this config. Nothing has been requested or written then.

    """
    started = env.clock.monotonic()
    runs = [WorkspaceRun(workspace, options, env) for workspace in config.workspaces]
    await _check_all(runs)
    limits = await _divide(options.max_requests, runs)
    async with watch([each.progress for each in runs], env.clock), asyncio.TaskGroup() as tasks:
        for each, limit in zip(runs, limits, strict=True):
            tasks.create_task(each.execute(limit))
    seconds = env.clock.monotonic() - started
    return Summary(options.run_id, options.as_of, seconds, tuple(each.summary() for each in runs), env.stop.exit_code)


async def _check_all(runs: Sequence[WorkspaceRun]) -> None:
    """Read the metadata of all workspaces, side by side."""
    for refusal in await asyncio.gather(*(each.check() for each in runs)):
        if refusal is not None:
            raise refusal


async def _divide(max_requests: int | None, runs: Sequence[WorkspaceRun]) -> list[int | None]:
    """How many windows each workspace may request, so that the newest windows of all workspaces come first.

    Only a limit on the run makes workspaces wait for one another: their plans must be known before it is shared.
    """
    if max_requests is None:
        return [None] * len(runs)
    plans = await asyncio.gather(*(each.preview() for each in runs))
    return [len(within) for within, _ in limit_requests(plans, max_requests)]
