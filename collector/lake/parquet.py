"""Tables to Parquet files and back, with the options that all readers agree on.

zstd; really sorted rows, told as such; page index and checksums; microseconds in UTC. The Arrow schema is left out of
the file, so that dictionaries used in memory do not leak: every reader sees plain strings.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from collector.lake.store import DamagedFile, LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collector.lake.store import Stage, Staged, Store, Version

ROWS_IN_GROUP = 128 * 1024


class StagedParquet:
    """A Parquet file being staged; `staged` once its block is left."""

    def __init__(self, stage: Stage, writer: pq.ParquetWriter) -> None:
        self._stage, self._writer = stage, writer

    @property
    def staged(self) -> Staged:
        """The finished file."""
        return self._stage.staged

    def write(self, rows: pa.Table, group: int = ROWS_IN_GROUP) -> None:
        """Add rows, which must sort behind those before; `group`: how many make a row group."""
        self._writer.write_table(rows, row_group_size=group)


@contextmanager
def stage_parquet(
    store: Store,
    schema: pa.Schema,
    sorted_by: Sequence[str],
    footer_metadata: Mapping[str, str],
    options: Mapping[str, object] | None = None,
) -> Iterator[StagedParquet]:
    """Write a file that nobody sees; left by an exception, it is dropped. `notes` go to the footer."""
    order = [pq.SortingColumn(schema.get_field_index(name), nulls_first=True) for name in sorted_by]
    with (
        store.stage() as stage,
        pq.ParquetWriter(
            stage.sink,
            schema,
            compression="zstd",
            store_schema=False,
            write_page_index=True,
            write_page_checksum=True,
            sorting_columns=order or None,
            **(options or {}),
        ) as writer,
    ):
        yield StagedParquet(stage, writer)
        writer.add_key_value_metadata(dict(footer_metadata))


def stage_table(
    store: Store,
    table: pa.Table,
    sorted_by: Sequence[str],
    footer_metadata: Mapping[str, str],
    options: Mapping[str, object] | None = None,
) -> Staged:
    """Write a whole table as a staged file. `options` are the writer's own."""
    with stage_parquet(store, table.schema, sorted_by, footer_metadata, options) as writing:
        writing.write(table)
    return writing.staged


class LakeParquetFile:
    """One version of a Parquet file in the lake. Use as a context manager; `tag` names the version."""

    def __init__(self, path: str, source: pa.NativeFile, version: Version) -> None:
        self.path, self.version = path, version
        self._source = source

    @classmethod
    def open(cls, store: Store, path: str) -> LakeParquetFile | None:
        """The file, or None where there is none."""
        opened = store.open(path)
        return cls(path, *opened) if opened else None

    def __enter__(self) -> LakeParquetFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def footer_metadata(self) -> dict[str, str]:
        """What the footer says beside the schema."""
        metadata = self._file(()).metadata.metadata or {}
        return {name.decode(): text.decode() for name, text in metadata.items()}

    def table(
        self, schema: pa.Schema, dictionaries: Sequence[str] = (), columns: Sequence[str] | None = None
    ) -> pa.Table:
        """All rows. `dictionaries`: text columns to read as such, which saves their memory. Raises Damaged."""
        file = self._checked(schema, dictionaries)
        with self._told():
            return file.read(columns=columns, use_threads=False)

    def row_groups(self, schema: pa.Schema, dictionaries: Sequence[str] = ()) -> Iterator[pa.Table]:
        """All rows, a row group at a time. Raises Damaged."""
        file = self._checked(schema, dictionaries)
        for number in range(file.num_row_groups):
            with self._told():
                rows = file.read_row_group(number, use_threads=False)
            yield rows

    def _checked(self, schema: pa.Schema, dictionaries: Sequence[str]) -> pq.ParquetFile:
        file = self._file(dictionaries)
        if file.schema_arrow.names != schema.names:
            raise self.damaged(f"its columns are {', '.join(file.schema_arrow.names)}")
        for field in file.schema_arrow:
            declared, stored = _plain(schema.field(field.name).type), _plain(field.type)
            if stored != declared:
                raise self.damaged(f"its column {field.name} is {stored}, not {declared}")
        return file

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say of which file an error is."""
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:  # the disk's failure, not the file's
                raise LakeError(f"cannot read {self.path}: {os.strerror(error.errno)}") from error
            raise self.damaged(str(error)) from error

    def _file(self, dictionaries: Sequence[str]) -> pq.ParquetFile:
        with self._told():
            try:
                # Nothing is read ahead: that is done on threads of Arrow's, and one that still holds the file when the
                # process ends aborts it.
                return pq.ParquetFile(
                    self._source,
                    read_dictionary=list(dictionaries),
                    page_checksum_verification=True,
                    pre_buffer=False,
                )
            except KeyError as error:
                raise self.damaged(f"it has no column {error.args[0].decode()}") from error

    def damaged(self, reason: str) -> DamagedFile:
        """The error that says so."""
        return DamagedFile(self.path, reason.splitlines()[0] if reason else "no reason given")


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
