"""The ledger of a crash test: the API's counts at each instant of a run, and the checks of a lake against them.

It is independent of the collector's merge: every row and every restatement is compared with the API's count at the
instant that the row names.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tests.support.night import truth

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from collector.config.settings import Workspace
    from collector.simulator.simulation import Simulation
    from tests.support.night import Night

Key = tuple[object, ...]
"""(scope, unit, app_id, segment_id, start of the bucket)"""


class Ledger:
    """The API's counts of one workspace, at every instant of a run."""

    def __init__(self, night: Night, simulation: Simulation, workspace: Workspace) -> None:
        self._night, self._simulation, self._workspace = night, simulation, workspace
        self._counts: dict[datetime, dict[Key, object]] = {}

    def record(self, now: datetime) -> None:
        """Record the API's counts at `now`."""
        rows = truth(self._simulation, self._workspace, now)
        self._counts[now] = {_key(row, self._workspace.timezone): row[-1] for row in rows}

    def check_readable(self) -> Mapping[Key, tuple[Any, ...]]:
        """Check that DuckDB and pyarrow read every table alike, no key is there twice, and each count was the API's.

        Returns the data rows: (sessions, revision, collected_at) by key.
        """
        folders = tables(self._night.lake)
        counts = [f"SELECT '{table.name}', count(*) FROM {{{table.name}}}" for table in folders]
        if folders:
            found: list[tuple[Any, ...]] = self._night.query(" UNION ALL ".join(counts))
            assert dict(found) == {
                table.name: ds.dataset(table, format="parquet", partitioning="hive").to_table().num_rows
                for table in folders
            }
        for file in (file for table in folders for file in files(table)):
            pq.ParquetFile(file, page_checksum_verification=True).read()
        rows = self._rows()
        for key, (sessions, _, collected_at) in rows.items():
            assert sessions == self._counts[collected_at][key], f"{key} was never {sessions} at {collected_at}"
        return rows

    def check_restatements(self, rows: Mapping[Key, tuple[Any, ...]]) -> None:
        """Check that each row's restatements are a chain of all its counts, and its revision is their number."""
        chains = self._chains()
        assert chains.keys() <= rows.keys()
        for key, row in rows.items():
            self._check_chain(key, sorted(chains.get(key, [])), row)

    def check_converged(self, rows: Mapping[Key, tuple[Any, ...]], now: datetime) -> None:
        """Check that the lake has exactly the API's counts at `now`."""
        assert {key: row[0] for key, row in rows.items()} == self._counts[now]

    def _rows(self) -> dict[Key, tuple[Any, ...]]:
        zone = self._workspace.timezone
        scans = [_scan(table.name) for table in tables(self._night.lake) if table.name.startswith("sessions_")]
        found: dict[Key, tuple[Any, ...]] = {}
        rows: list[tuple[Any, ...]] = self._night.query(" UNION ALL ".join(scans)) if scans else []
        for row in rows:
            start = row[4] or datetime.combine(row[5], time(), zone)
            key = (*row[:4], start.timestamp())
            assert key not in found, f"{key} is there twice"
            found[key] = row[6:]
        return found

    def _chains(self) -> dict[Key, list[tuple[Any, ...]]]:
        chains: dict[Key, list[tuple[Any, ...]]] = defaultdict(list)
        if (self._night.lake / "restatements").is_dir():
            rows: list[tuple[Any, ...]] = self._night.query(_RESTATEMENTS)
            for *series, start, revision, old, new, before, at in rows:
                chains[*series, start.timestamp()].append((revision, old, new, before, at))
        return chains

    def _check_chain(self, key: Key, chain: list[tuple[Any, ...]], row: tuple[Any, ...]) -> None:
        sessions, revision, collected_at = row
        message = f"{key}: {chain}, and the row is {row}"
        assert [link[0] for link in chain] == list(range(1, revision + 1)), message
        for number, (_, old, new, before, at) in enumerate(chain, 1):
            assert (old, new) == (self._counts[before][key], self._counts[at][key]), message
            assert old != new, message
            assert (new, at) == (chain[number][1:4:2] if number < revision else (sessions, collected_at)), message
        if not chain:
            assert sessions == self._counts[collected_at][key], message


_RESTATEMENTS = """
    SELECT scope, unit, app_id, segment_id, bucket_start, revision, old_value, new_value, previous_collected_at,
    collected_at FROM {restatements}"""


def tables(lake: Path) -> list[Path]:
    """The folders of the tables that have files."""
    return [table for table in sorted(lake.iterdir()) if table.name != "_collector" and files(table)]


def files(table: Path) -> list[Path]:
    """The files of a table."""
    return [file for file in table.rglob("*") if file.is_file()]


def _scan(table: str) -> str:
    scope, _, kind = table.removeprefix("sessions_").rpartition("_")
    segment = "segment_id" if scope == "app_segment" else "NULL"
    unit, when = ("day", "NULL, date") if kind == "daily" else ("hour", "hour, NULL")
    return f"SELECT '{scope}', '{unit}', app_id, {segment}, {when}, sessions, revision, collected_at FROM {{{table}}}"


def _key(row: tuple[Any, ...], zone: ZoneInfo) -> Key:
    _, scope, unit, app, segment, when, _ = row
    start = when if isinstance(when, datetime) else datetime.combine(when, time(), zone)
    return scope, unit, app, segment, start.timestamp()
