"""A night as users have it, in this process: a config file, the command line, and a lake on disk."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb
import yaml
from click.testing import CliRunner

from collector.buckets import start_of
from collector.cli.main import cli
from collector.config.load import load
from collector.model import Unit
from collector.plan import configured_series, wanted_span

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from collector.config.settings import Config, Workspace
    from collector.simulator.simulation import Simulation

Row = tuple[object, ...]


@dataclass(frozen=True)
class Outcome:
    """What a command gave: its exit code, its JSON output, and stderr."""

    exit_code: int
    report: dict[str, Any]
    stderr: str


class Night:
    """A folder with a config and its lake. Commands run in this process."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.document = folder, document
        self.lake = folder / "lake"
        self.config = folder / "collector.yaml"
        self.write()

    def write(self) -> None:
        """Write the config file. The key of each workspace is `key-of-NAME`."""
        self.config.write_text(yaml.safe_dump({"lake": "./lake", **self.document}, sort_keys=False))

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with the keys of all workspaces."""
        names = [workspace["name"] for workspace in self.document["workspaces"]]
        return {f"KEY_{name.upper()}": f"key-of-{name}" for name in names}

    def settings(self) -> Config:
        """The config as the program reads it."""
        return load(self.config, {**os.environ, **self.environ}, secrets=True)

    def call(self, *arguments: str, environ: dict[str, str] | None = None) -> Outcome:
        """Run a command."""
        environ = {**self.environ, **(environ or {})}
        result = CliRunner().invoke(cli, ["--config", str(self.config), *arguments], env=environ)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        report = json.loads(result.stdout) if "--json" in arguments and result.stdout else {}
        return Outcome(result.exit_code, report, result.stderr)

    def run(self, as_of: datetime, *arguments: str, environ: dict[str, str] | None = None) -> Outcome:
        """Run the nightly job as of an instant."""
        return self.call("run", "--json", "--as-of", as_of.isoformat(), *arguments, environ=environ)

    def query(self, statement: str) -> list[Row]:
        """The rows of a DuckDB statement, in which `{table}` is a scan of that table's files."""
        with _duckdb().cursor() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            table = connection.sql(statement.format_map(_Scans(self.lake))).to_arrow_table()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def rows(self) -> set[Row]:
        """All data rows of the lake: (workspace, scope, unit, app_id, segment_id, start of its bucket, sessions)."""
        scans: dict[str, list[str]] = {"day": [], "hour": []}
        for table in sorted(self.lake.glob("sessions_*")):
            scope, _, kind = table.name.removeprefix("sessions_").rpartition("_")
            app = "app_id" if scope.startswith("app") else "NULL"
            segment = "segment_id" if scope.endswith("segment") else "NULL"
            unit, when = ("day", "date") if kind == "daily" else ("hour", "hour")
            scans[unit].append(
                f"SELECT workspace, '{scope}', '{unit}', {app}, {segment}, {when}, sessions FROM {{{table.name}}}"
            )
        # Dates and instants have no column in common.
        found = [row for selects in scans.values() if selects for row in self.query(" UNION ALL ".join(selects))]
        assert len(found) == len({row[:-1] for row in found}), "a key is there twice"
        return set(found)

    def bytes(self) -> dict[str, bytes]:
        """Every file of the lake but those of the table `runs`, to which each run adds a row."""
        files = ((str(path.relative_to(self.lake)), path) for path in self.lake.rglob("*") if path.is_file())
        return {name: path.read_bytes() for name, path in files if not name.startswith("runs/")}


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    """The one database of this process, which takes thirty times as long to make as a cursor. It remembers no file."""
    return duckdb.connect(config={"enable_external_file_cache": "false"})


class _Scans(dict[str, str]):
    def __init__(self, lake: Path) -> None:
        super().__init__()
        self._lake = lake

    def __missing__(self, table: str) -> str:
        return f"read_parquet('{self._lake / table}/**/*.parquet', hive_partitioning = true)"


def truth(simulation: Simulation, workspace: Workspace, now: datetime) -> set[Row]:
    """The rows that a complete lake has of a workspace at `now`, in the form of `Night.rows`."""
    found: set[Row] = set()
    for declared in configured_series(workspace):
        key = declared.series.key
        for bucket, sessions in simulation.rows(workspace.name, key, wanted_span(declared, workspace, (), now), now):
            start = start_of(key.unit, bucket, workspace.timezone)
            when = start.astimezone(workspace.timezone).date() if key.unit is Unit.DAY else start
            found.add((workspace.name, key.scope.value, key.unit.value, key.app_id, key.segment_id, when, sessions))
    return found


def make_document(url: str, *workspaces: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """A config with fast retries. A workspace needs nothing but a name."""
    retry = {"attempts": 6, "base_seconds": 0.005, "max_seconds": 0.05}
    return {
        "defaults": {"rate_limit": {"per_second": 5000}, "retry": retry, **defaults},
        "workspaces": [
            {
                "endpoint": url,
                "api_key": f"${{KEY_{workspace['name'].upper()}}}",
                "apps": [{"name": "ios", "id": "id-ios"}],
                **workspace,
            }
            for workspace in workspaces
        ],
    }


def make_apps(count: int) -> list[dict[str, Any]]:
    """The given number of apps."""
    return [{"name": f"app{number}", "id": f"id of app/{number}"} for number in range(count)]


def make_segments(count: int) -> list[dict[str, Any]]:
    """The given number of segments."""
    return [{"name": f"segment{number}", "id": f"id-segment-{number}"} for number in range(count)]
