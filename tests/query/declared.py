"""Run `collector ddl` as a user does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from collector.cli.main import cli

if TYPE_CHECKING:
    from tests.support.night import Night

LAKES = {
    "athena": "s3://bucket/some prefix",
    "trino": "s3://bucket/prefix",
    "databricks": "abfs://container@account.dfs.core.windows.net/prefix",
    "bigquery": "gs://bucket/prefix",
    "snowflake": "s3://bucket/prefix",
}
"""Addresses for engines that cannot read a folder."""


def ddl(night: Night, engine: str, *arguments: str) -> Result:
    """Run it in this process, without API keys."""
    lake = ["--lake", LAKES[engine]] if engine in LAKES and "--lake" not in arguments else []
    command = ["-c", str(night.config), "ddl", "--engine", engine, *lake, *arguments]
    return CliRunner().invoke(cli, command, env={"KEY_ACME": None, "KEY_GLOBEX": None})


def declared(night: Night, engine: str, *arguments: str) -> list[str]:
    """The statements that it prints."""
    result = ddl(night, engine, *arguments)
    assert result.exit_code == 0, result.stderr
    return [statement for statement in result.stdout.split(";\n\n") if statement.strip()]
