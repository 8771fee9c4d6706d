"""The command line: `collector` and its commands. Options in, exit codes out.

Commands import what they use when they run, so that help and completion start fast.
"""

from __future__ import annotations

from typing import Any

import click

import collector
from collector.cli.collect import plan, repair, run, schema, status, validate
from collector.cli.init import init
from collector.cli.options import GLOBAL_OPTIONS, CollectorGroup
from collector.cli.query import ddl, sql
from collector.cli.simulate import simulate


@click.group(cls=CollectorGroup, params=list(GLOBAL_OPTIONS), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(collector.__version__, "--version", prog_name="collector")
def cli(**_: Any) -> None:
    """Collect Braze session counts of many apps and segments into a data lake of partitioned Parquet.

    The config declares the coverage you want. Each run makes the lake converge to it.

    \b
    First steps:
      collector init        write a config file
      collector validate    check the config
      collector plan        show what a run would request, and what it costs
      collector run         the nightly job
      collector status      is the night right?
    Without a Braze account:
      collector simulate    serve a simulated API on this machine

    \b
    Exit codes:
      0        every planned window was answered
      1        internal error (a bug)
      2        invalid config or usage
      3        some window failed or was skipped; the next run requests it again
      4        another run holds a workspace of this lake
      5        the lake cannot be read or written
      130/143  interrupted
    """


for _command in (init, run, plan, status, validate, simulate, sql, ddl, repair, schema):
    cli.add_command(_command)
