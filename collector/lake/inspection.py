"""Every file of a workspace read whole, page by page against its checksums, and held against what it must be.

In: a store. Out: paths, each with what is wrong with it. It changes nothing, and holds one file in memory at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from collector.lake import coverage_table, instants, journal, paths
from collector.lake.errors import Damaged
from collector.lake.parquet import ParquetInput
from collector.lake.paths import Partition, Place
from collector.lake.schema import LOG, RESTATEMENTS, sessions
from collector.lake.slices import when

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from collector.lake.store import Store

FOREIGN = "it is no file of the collector's, and readers of the table trip over it"


def inspect(store: Store, workspace: str, zone: ZoneInfo) -> Iterator[tuple[str, str | None]]:
    """Each file of the workspace's tables and journals, and what is wrong with it.

    Raises LakeError where the disk fails: that is no damage.
    """
    for folder in paths.holdings(workspace):
        for path in sorted(store.list(folder)):
            yield path, _wrong(store, zone, path)


def strays(store: Store) -> list[str]:
    """Files in a table's folder that belong to no workspace."""
    return [
        path
        for table in paths.tables()
        for path in sorted(store.list(table))
        if not path.startswith(f"{table}/workspace=")
    ]


def _wrong(store: Store, zone: ZoneInfo, path: str) -> str | None:
    place = Place.of(path)
    if place is Place.FOREIGN:
        return FOREIGN
    try:
        if place is Place.JOURNAL:
            journal.verify(store, [path])
        else:
            _read(store, zone, path, place)
    except Damaged as damaged:
        return damaged.reason
    return None


def _read(store: Store, zone: ZoneInfo, path: str, place: Place) -> None:
    entry = ParquetInput.open(store, path)
    if entry is None:  # a run that goes on meanwhile has replaced or dropped it
        return
    with entry:
        partition = Partition.of(path)
        if partition is not None:
            _read_data(entry, partition)
        elif place is Place.COVERAGE:
            coverage_table.parse(entry, zone)
        else:
            entry.table(LOG if place is Place.LOG else RESTATEMENTS)


def _read_data(entry: ParquetInput, partition: Partition) -> None:
    columns = sessions(partition.scope, partition.unit)
    texts = [field.name for field in columns if field.type == pa.string()]
    rows = entry.table(columns, texts)
    months = instants.months(partition.unit, instants.buckets(partition.unit, rows[when(partition.unit)]))
    if months and months != [partition.month]:
        raise entry.damaged(f"it holds rows of {', '.join(str(month) for month in months)}")
