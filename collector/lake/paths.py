"""The path of every file of a lake, relative to the lake's root, as pure functions. No other module joins paths.

Only validated names become part of a path: workspaces' names, run ids and dates. Ids from the config never do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from collector.model import Scope, Unit

INTERNAL = "_collector"
"""The folder for everything that is not a table."""

_DATA_FILE = re.compile(
    rf"sessions_(?P<scope>{'|'.join(Scope)})_(?P<unit>daily|hourly)"
    r"/workspace=(?P<workspace>[^/]+)/month=(?P<month>\d{4}-\d{2}-01)/data\.parquet"
)


class FileKind(StrEnum):
    """What kind of file the collector writes at a path. The values are those of `repair --json`."""

    DATA = "data"
    RESTATEMENTS = "restatements"
    COVERAGE = "coverage"
    LOG = "log"
    JOURNAL = "journal"
    FOREIGN = "foreign"

    @classmethod
    def of(cls, path: str) -> FileKind:
        """The kind of the file at a path; FOREIGN for a path that the collector never writes."""
        return next((kind for kind, pattern in _PATTERNS.items() if pattern.fullmatch(path)), cls.FOREIGN)


_PATTERNS = {
    FileKind.DATA: _DATA_FILE,
    FileKind.RESTATEMENTS: re.compile(r"restatements/workspace=[^/]+/month=\d{4}-\d{2}-01/data\.parquet"),
    FileKind.COVERAGE: re.compile(r"coverage/workspace=[^/]+/data\.parquet"),
    FileKind.LOG: re.compile(r"collection_log/workspace=[^/]+/run_date=\d{4}-\d{2}-\d{2}/[^/]+-\d{4,}\.parquet"),
    FileKind.JOURNAL: re.compile(rf"{INTERNAL}/[^/]+/journal/[^/]+-\d{{4,}}/\d{{6,}}\.parquet"),
}


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One data file: a table (scope and unit), a workspace and a month, given as its first day."""

    workspace: str
    scope: Scope
    unit: Unit
    month: date

    @property
    def path(self) -> str:
        """The data file."""
        return f"{table_folder(self.scope, self.unit, self.workspace)}/month={self.month}/data.parquet"

    @classmethod
    def of(cls, path: str) -> Partition | None:
        """The partition that a data file's path names; None for any other path."""
        match = _DATA_FILE.fullmatch(path)
        if match is None:
            return None
        unit = Unit.DAY if match["unit"] == "daily" else Unit.HOUR
        return cls(match["workspace"], Scope(match["scope"]), unit, date.fromisoformat(match["month"]))


def table(scope: Scope, unit: Unit) -> str:
    """The name of a data table."""
    return f"sessions_{scope}_{'daily' if unit is Unit.DAY else 'hourly'}"


def table_folder(scope: Scope, unit: Unit, workspace: str) -> str:
    """The folder of a workspace's partitions of a data table."""
    return f"{table(scope, unit)}/workspace={workspace}"


def restatements(workspace: str, month: date) -> str:
    """The restatements that were first seen in a month (UTC), given as its first day."""
    return f"restatements/workspace={workspace}/month={month}/data.parquet"


def coverage(workspace: str) -> str:
    """The coverage of all series of a workspace."""
    return f"coverage/workspace={workspace}/data.parquet"


def log(workspace: str, run_date: str, landing_id: str) -> str:
    """The log of one landing. `run_date`: the day on which its run started (UTC)."""
    return f"collection_log/workspace={workspace}/run_date={run_date}/{landing_id}.parquet"


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
    return [*(table(scope, unit) for scope in Scope for unit in Unit), "restatements", "coverage", "collection_log"]


def workspace_folders(workspace: str) -> list[str]:
    """The folders of a workspace's tables and journals."""
    return [*(f"{table}/workspace={workspace}" for table in tables()), journals(workspace)]


def quarantine_folder(workspace: str) -> str:
    """The folder of damaged and foreign files, which keep their paths below it."""
    return f"{internal_folder(workspace)}/quarantine"
