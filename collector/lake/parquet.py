"""Parquet files of the lake: staged with options that every reader accepts, and read with checks.

In: Arrow tables. Out: staged files (zstd, with page index and page checksums), and back. The Arrow schema is not
stored in a file: text is held in memory as dictionaries, and readers must see plain strings. Nothing is published here.
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
    """A Parquet file that is being staged; `staged` is available after the block of `stage_parquet`.

    `rows`: how many were written.
    """

    def __init__(self, stage: Stage, writer: pq.ParquetWriter) -> None:
        self._stage, self._writer = stage, writer
        self.rows = 0

    @property
    def staged(self) -> Staged:
        """The finished file. Raises ValueError inside the block."""
        return self._stage.staged

    def write(self, rows: pa.Table, group: int = ROWS_IN_GROUP) -> None:
        """Append rows, which the caller has sorted, in row groups of `group` rows."""
        self.rows += rows.num_rows
        self._writer.write_table(rows, row_group_size=group)


@contextmanager
def stage_parquet(
    store: Store,
    schema: pa.Schema,
    sorted_by: Sequence[str],
    footer_metadata: Mapping[str, str],
    options: Mapping[str, object] | None = None,
) -> Iterator[StagedParquet]:
    """Stage a file piece by piece. An exception in the block discards the file. `options` are the Parquet writer's."""
    with (
        store.stage() as stage,
        pq.ParquetWriter(
            stage.sink,
            schema,
            compression="zstd",
            store_schema=False,
            write_page_checksum=True,
            sorting_columns=[pq.SortingColumn(schema.get_field_index(name), nulls_first=True) for name in sorted_by]
            or None,
            **{"write_page_index": True, **(options or {})},
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
    """Stage one table as a file."""
    with stage_parquet(store, table.schema, sorted_by, footer_metadata, options) as file:
        file.write(table)
    return file.staged


class LakeParquetFile:
    """A Parquet file of the lake, open for reading: a context manager. `version` is the version that is read.

    Every method raises DamagedFile where the content is not what the collector writes, LakeError where the disk fails.
    """

    def __init__(self, path: str, source: pa.NativeFile, version: Version) -> None:
        self.path, self.version = path, version
        self._source = source
        self._file: pq.ParquetFile | None = None

    @classmethod
    def open(cls, store: Store, path: str) -> LakeParquetFile | None:
        """Open the file; None where there is none."""
        opened = store.open(path)
        return cls(path, *opened) if opened else None

    @classmethod
    def open_footer(cls, store: Store, path: str) -> LakeParquetFile | None:
        """Open the file for its footer alone: from a bucket, only its end is fetched."""
        opened = store.open_footer(path)
        return cls(path, *opened) if opened else None

    def __enter__(self) -> LakeParquetFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def footer_metadata(self) -> dict[str, str]:
        """The key-value pairs of the footer."""
        metadata = self._file_metadata().metadata or {}
        return {name.decode(): text.decode() for name, text in metadata.items()}

    def columns(self) -> list[str]:
        """The names of the file's columns."""
        names: list[str] = self._file_metadata().schema.to_arrow_schema().names
        return names

    def size_and_rows(self) -> tuple[int, int]:
        """The file's size in bytes, and its number of rows."""
        with self._translate_errors():
            return self._source.size(), self._file_metadata().num_rows

    def table(
        self, schema: pa.Schema, dictionaries: Sequence[str] = (), columns: Sequence[str] | None = None
    ) -> pa.Table:
        """All rows of a file that has `schema`. Columns in `dictionaries` are read as such, which takes less memory.

        Columns that the file lacks at its end are null: an older version of the collector wrote it.
        """
        file = self._checked(schema, dictionaries)
        with self._translate_errors():
            return _with_later_columns(file.read(columns=columns, use_threads=False), schema, columns)

    def row_groups(self, schema: pa.Schema, dictionaries: Sequence[str] = ()) -> Iterator[pa.Table]:
        """All rows, one row group at a time, as `table` reads them."""
        file = self._checked(schema, dictionaries)
        for number in range(file.num_row_groups):
            with self._translate_errors():
                rows = file.read_row_group(number, use_threads=False)
            yield _with_later_columns(rows, schema)

    def damaged(self, reason: str) -> DamagedFile:
        """The error that names this file. Only the reason's first line is kept."""
        return DamagedFile(self.path, reason.splitlines()[0] if reason else "no reason given")

    def _checked(self, schema: pa.Schema, dictionaries: Sequence[str]) -> pq.ParquetFile:
        file = self._parquet_file(dictionaries)
        found = file.schema_arrow
        names = found.names
        if not names or names != schema.names[: len(names)]:
            raise self.damaged(f"its columns are {', '.join(names)}")
        for field, column in zip(found, schema, strict=False):
            declared, stored = _value_type(column.type), _value_type(field.type)
            if stored != declared:
                raise self.damaged(f"its column {field.name} is {stored}, not {declared}")
        return file

    def _parquet_file(self, dictionaries: Sequence[str]) -> pq.ParquetFile:
        if not dictionaries:
            return self._opened()
        # A file may lack columns at its end, which cannot be requested as dictionaries.
        present = set(self.columns())
        return self._open([name for name in dictionaries if name in present], self._file_metadata())

    def _opened(self) -> pq.ParquetFile:
        """The file with its columns as they are. It is opened once, and its footer is read once."""
        if self._file is None:
            self._file = self._open()
        return self._file

    def _open(self, dictionaries: Sequence[str] = (), metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
        with self._translate_errors():
            # pre_buffer reads ahead on Arrow's threads, and a thread that still holds the file when the process ends
            # aborts the process.
            return pq.ParquetFile(
                self._source,
                metadata=metadata,
                read_dictionary=list(dictionaries),
                page_checksum_verification=True,
                pre_buffer=False,
            )

    def _file_metadata(self) -> pq.FileMetaData:
        return self._opened().metadata

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise LakeError for a failure of the disk, DamagedFile for what Arrow cannot read."""
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:  # Arrow's own OSErrors about a file's content have no errno
                raise LakeError(f"cannot read {self.path}: {os.strerror(error.errno)}") from error
            raise self.damaged(str(error)) from error


def _with_later_columns(rows: pa.Table, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows with nulls in the columns of the schema, or those named, that they lack."""
    present = set(rows.column_names)
    for name in schema.names if columns is None else columns:
        if name not in present:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, schema.field(name).type))
    return rows


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows, whose columns are those of the schema, with its types. Most tables are small: no needless cast."""
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(rows.columns, schema, strict=True)
    ]
    return pa.table(columns, schema=schema)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
