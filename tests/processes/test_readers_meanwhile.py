from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from tests.support.night import make_apps, make_segments
from tests.support.program import until
from tests.support.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NIGHTS = 2
TABLES = ("sessions_app_daily", "sessions_app_hourly", "sessions_app_segment_daily", "sessions_app_segment_hourly")
Content = frozenset[tuple[object, ...]]
"""The rows of one partition."""


@dataclass
class Readings:
    """What a reader got: each content of each partition, from complete scans, and the errors of the other scans."""

    scans: int = 0
    errors: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    seen: dict[tuple[str, str], set[Content]] = field(default_factory=lambda: defaultdict(set))

    def wait_for_more(self) -> None:
        """Wait until every table has been scanned once more."""
        enough = self.scans + len(TABLES)
        until(lambda: self.scans >= enough)

    def take(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Record a scan; a row begins with its month."""
        self.scans += 1
        months: dict[str, list[tuple[object, ...]]] = defaultdict(list)
        for month, *row in rows:
            months[str(month)[:10]].append(tuple(row))
        for month, content in months.items():
            if len({row[:-1] for row in content}) != len(content):
                self.twice.append(f"{table} {month}")
            self.seen[table, month].add(frozenset(content))


def by_duckdb(lake: Path, table: str) -> list[tuple[Any, ...]]:
    segment = "segment_id" if "segment" in table else "NULL"
    when = "date" if table.endswith("daily") else "hour"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        scan = f"read_parquet('{lake / table}/**/*.parquet', hive_partitioning = true)"
        found = connection.sql(f"SELECT month, app_id, {segment}, {when}, sessions FROM {scan}").to_arrow_table()
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def by_pyarrow(lake: Path, table: str) -> list[tuple[Any, ...]]:
    partitions = ds.partitioning(pa.schema([("workspace", pa.string()), ("month", pa.string())]), flavor="hive")
    found = ds.dataset(lake / table, partitioning=partitions).to_table()
    nulls = pa.nulls(found.num_rows)
    columns = [found["month"], found["app_id"], found["segment_id"] if "segment" in table else nulls]
    columns += [found["date"] if table.endswith("daily") else found["hour"], found["sessions"]]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


@contextmanager
def reading(lake: Path, scan: Callable[[Path, str], list[tuple[Any, ...]]]) -> Iterator[Readings]:
    """Scan every table again and again on a thread while the block runs."""
    readings, wait = Readings(), threading.Event()

    def read() -> None:
        while not wait.is_set():
            for table in TABLES:
                try:
                    rows = scan(lake, table)
                except (duckdb.Error, pa.ArrowException, OSError) as error:
                    readings.errors.append(f"{type(error).__name__}: {error}")
                else:
                    readings.take(table, rows)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield readings
    finally:
        wait.set()
        thread.join()


def contents(site: Site) -> dict[tuple[str, str], Content]:
    """What each partition holds, by table and month, once the lake has converged."""
    found: dict[tuple[str, str], set[tuple[object, ...]]] = defaultdict(set)
    for _, scope, unit, app, segment, when, sessions in site.truth():
        table = f"sessions_{scope}_{'daily' if unit == 'day' else 'hourly'}"
        assert isinstance(when, date | datetime)
        found[table, f"{when:%Y-%m}-01"].add((app, segment, when, sessions))
    return {partition: frozenset(rows) for partition, rows in found.items()}


def test_readers_see_old_rows_or_new_ones(tmp_path: Path) -> None:
    """DuckDB and pyarrow scan all tables during nights with restatements: each scan has partitions of one night."""
    members = {"apps": make_apps(2), "segments": make_segments(4)}
    site = Site(tmp_path, {"name": "acme", **members}, start="2026-10-25")
    with site.served():
        with site.run() as program:
            assert program.wait() == 0
        nights = [contents(site)]
        with reading(site.night.lake, by_duckdb) as one, reading(site.night.lake, by_pyarrow) as other:
            for _ in range(NIGHTS):
                site.simulation.now += timedelta(days=1)
                nights.append(contents(site))
                with site.run() as program:
                    assert program.wait() == 0
                assert program.report["rows_restated"] > 0
                for readings in (one, other):
                    readings.wait_for_more()
        assert site.night.rows() == site.truth()
    for name, readings in (("DuckDB", one), ("pyarrow", other)):
        print(f"\n{name}: {readings.scans} scans, {len(readings.errors)} errors {set(readings.errors)}")  # noqa: T201
        assert readings.twice == []
        for partition, seen in readings.seen.items():
            assert seen <= {night[partition] for night in nights if partition in night}, partition
        assert len(readings.errors) < readings.scans / 4
