"""The path of every file of a lake, relative to the lake's root, as pure functions. No other module joins paths.

Only validated names become part of a path: workspaces' names, run ids and dates. Ids from the config never do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

from collector.metrics import METRICS, Metric
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERNAL = "_collector"
"""The folder for everything that is not a table."""

_MONTH = r"(?!0000)\d{4}-(?:0[1-9]|1[0-2])-01"

_DATA_FILE = re.compile(
    rf"(?P<metric>{'|'.join(METRICS)})_(?P<scope>{'|'.join(Scope)})_(?P<unit>daily|hourly)"
    rf"/workspace=(?P<workspace>[^/]+)/month=(?P<month>{_MONTH})/data\.parquet"
)


class FileKind(StrEnum):
    """What kind of file the collector writes at a path. The values are those of `repair --json`."""

    DATA = "data"
    RESTATEMENTS = "restatements"
    COVERAGE = "coverage"
    LOG = "log"
    RUNS = "runs"
    JOURNAL = "journal"
    FOREIGN = "foreign"

    @classmethod
    def of(cls, path: str) -> FileKind:
        """The kind of the file at a path; FOREIGN for a path that the collector never writes."""
        return next((kind for kind, pattern in _PATTERNS.items() if pattern.fullmatch(path)), cls.FOREIGN)


_MONTHLY = rf"workspace=[^/]+/month={_MONTH}/data\.parquet"

_PATTERNS = {
    FileKind.DATA: _DATA_FILE,
    FileKind.RESTATEMENTS: re.compile(rf"restatements/{_MONTHLY}"),
    FileKind.COVERAGE: re.compile(r"coverage/workspace=[^/]+/data\.parquet"),
    FileKind.LOG: re.compile(rf"collection_log/{_MONTHLY}"),
    FileKind.RUNS: re.compile(rf"runs/{_MONTHLY}"),
    FileKind.JOURNAL: re.compile(rf"{INTERNAL}/[^/]+/journal/[^/]+-\d{{4,}}/\d{{6,}}\.parquet"),
}


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One data file: a table (metric, scope and unit), a workspace and a month, given as its first day."""

    workspace: str
    metric: str
    scope: Scope
    unit: Unit
    month: date

    @property
    def path(self) -> str:
        """The data file."""
        return f"{table_folder(self.metric, self.scope, self.unit, self.workspace)}/month={self.month}/data.parquet"

    @classmethod
    def of(cls, path: str) -> Partition | None:
        """The partition that a data file's path names; None for any other path."""
        match = _DATA_FILE.fullmatch(path)
        if match is None:
            return None
        unit = Unit.DAY if match["unit"] == "daily" else Unit.HOUR
        return cls(match["workspace"], match["metric"], Scope(match["scope"]), unit, date.fromisoformat(match["month"]))


def data_tables() -> Iterator[tuple[Metric, Scope, Unit]]:
    """What each data table holds: every metric of the catalogue, by the scopes and units that it is offered in."""
    return ((metric, scope, unit) for metric in METRICS.values() for scope in metric.scopes for unit in metric.units)


def table(metric: str, scope: Scope, unit: Unit) -> str:
    """The name of a data table."""
    return f"{metric}_{scope}_{'daily' if unit is Unit.DAY else 'hourly'}"


def table_folder(metric: str, scope: Scope, unit: Unit, workspace: str) -> str:
    """The folder of a workspace's partitions of a data table."""
    return f"{table(metric, scope, unit)}/workspace={workspace}"


def monthly_file(table: str, workspace: str, month: date) -> str:
    """The file of a month, given by any of its days (UTC), of a table that has one file for all series."""
    return f"{table}/workspace={workspace}/month={month.replace(day=1):%Y-%m-%d}/data.parquet"


def coverage(workspace: str) -> str:
    """The coverage of all series of a workspace."""
    return f"coverage/workspace={workspace}/data.parquet"


def internal_folder(workspace: str) -> str:
    """The workspace's folder outside the tables: lock, journals, staged files, metadata."""
    return f"{INTERNAL}/{workspace}"


def metadata(workspace: str) -> str:
    """The file with the layout's version and the workspace's time zone."""
    return f"{internal_folder(workspace)}/workspace.json"


def lock(workspace: str) -> str:
    """The lock file of the workspace."""
    return f"{internal_folder(workspace)}/lock.json"


def journals(workspace: str) -> str:
    """The folder of the journals that are not landed yet, one folder each."""
    return f"{internal_folder(workspace)}/journal"


def journal_entry(workspace: str, landing_id: str, number: int) -> str:
    """One file of a journal."""
    return f"{journals(workspace)}/{landing_id}/{number:06d}.parquet"


def tables() -> list[str]:
    """The names of all tables, each a folder of the lake."""
    data = (table(metric.name, scope, unit) for metric, scope, unit in data_tables())
    return [*data, "restatements", "coverage", "collection_log", "runs"]


def workspace_folders(workspace: str) -> list[str]:
    """The folders of a workspace's tables and journals."""
    return [*(f"{table}/workspace={workspace}" for table in tables()), journals(workspace)]


def quarantine_folder(workspace: str) -> str:
    """The folder of damaged and foreign files, which keep their paths below it."""
    return f"{internal_folder(workspace)}/quarantine"
