"""Tables to Parquet files and back, with the options that all readers agree on.

zstd; really sorted rows, told as such; page index and checksums; microseconds in UTC. The Arrow schema is left out of
the file, so that dictionaries used in memory do not leak: every reader sees plain strings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from collector.lake.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.lake.store import Staged, Store, Tag

ROWS_IN_GROUP = 128 * 1024


def stage_table(
    store: Store,
    table: pa.Table,
    sorted_by: Sequence[str],
    notes: Mapping[str, str],
    options: Mapping[str, object] | None = None,
) -> Staged:
    """Write a table as a staged file. `notes` go to the footer; `options` are the writer's own."""
    order = [pq.SortingColumn(table.schema.get_field_index(name), nulls_first=True) for name in sorted_by]
    with (
        store.stage() as stage,
        pq.ParquetWriter(
            stage.sink,
            table.schema,
            compression="zstd",
            store_schema=False,
            write_page_index=True,
            write_page_checksum=True,
            sorting_columns=order or None,
            **(options or {}),
        ) as writer,
    ):
        writer.write_table(table, row_group_size=ROWS_IN_GROUP)
        writer.add_key_value_metadata(dict(notes))
    return stage.staged


class ParquetInput:
    """One version of a Parquet file in the lake. Use as a context manager; `tag` names the version."""

    def __init__(self, path: str, source: pa.NativeFile, tag: Tag) -> None:
        self.path, self.tag = path, tag
        self._source = source

    @classmethod
    def open(cls, store: Store, path: str) -> ParquetInput | None:
        """The file, or None where there is none."""
        opened = store.open(path)
        return cls(path, *opened) if opened else None

    def __enter__(self) -> ParquetInput:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def notes(self) -> dict[str, str]:
        """What the footer says beside the schema."""
        metadata = self._file(()).metadata.metadata or {}
        return {name.decode(): text.decode() for name, text in metadata.items()}

    def table(
        self, schema: pa.Schema, dictionaries: Sequence[str] = (), columns: Sequence[str] | None = None
    ) -> pa.Table:
        """All rows. `dictionaries`: text columns to read as such, which saves their memory."""
        file = self._file(dictionaries)
        if file.schema_arrow.names != schema.names:
            raise self._damaged(f"its columns are {', '.join(file.schema_arrow.names)}")
        try:
            table = file.read(columns=columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(str(error)) from error
        for field in table.schema:
            declared, stored = _plain(schema.field(field.name).type), _plain(field.type)
            if stored != declared:
                raise self._damaged(f"its column {field.name} is {stored}, not {declared}")
        return table

    def _file(self, dictionaries: Sequence[str]) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self._source, read_dictionary=list(dictionaries), page_checksum_verification=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> Damaged:
        first_line = reason.splitlines()[0] if reason else "no reason given"
        return Damaged(
            self.path,
            f"{self.path} is not as the collector wrote it ({first_line}). Move it out of the lake and run again: "
            "what it held is fetched anew",
        )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
