"""The lake's tables as Arrow datasets, read through the store: a folder and a bucket alike.

In: a store. Out: a dataset for each table. Partition values come from the path below the lake, whatever the folders
above it are called. A file that cannot be read is an error of the lake that names it (`LakeFiles.error`); none is
read as rows of another table, or as two of its versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo, FileSystemHandler, FileType, PyFileSystem

from collector.lake.partition import PLACE
from collector.lake.paths import FileKind
from collector.lake.store import DamagedFile, LakeError
from collector.lake.tables import TABLES
from collector.query.engines.engine import partition_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collector.lake.store import Store, Version
    from collector.lake.tables import Table


_FORMAT = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)


class LakeFiles:
    """The files of all tables, and what went wrong when they were read."""

    def __init__(self, store: Store, lake: str) -> None:
        """`lake`: its address, for messages."""
        self._store, self._lake = store, lake
        self._listed: dict[str, dict[str, Version]] = {}
        self._handlers: dict[str, _TableFiles] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no table has a file, as of the last listing."""
        return not any(self._listed.values())

    def changed(self) -> Iterator[tuple[Table, ds.Dataset | pa.Table]]:
        """List all tables, and give those whose files are not those of the last listing. Raises LakeError.

        A dataset keeps the footers that it has read, so one never outlives a change of its files.
        """
        for table in TABLES:
            versions = self._store.list(table.name)
            files = {path: versions[path] for path in partition_files(table, versions)}
            if self._listed.get(table.name) != files:
                self._refuse_foreign(files)
                self._handlers[table.name] = _TableFiles(self._store, self._lake, table)
                try:
                    dataset = _dataset(table, list(files), self._handlers[table.name])
                except pa.ArrowInvalid as error:
                    reason = str(error).splitlines()[0]
                    raise LakeError(
                        f"{self._lake}/{table.name} has a folder that is not a partition: {reason}. "
                        "Run `collector repair --foreign` to quarantine its files"
                    ) from error
                yield table, dataset
                self._listed[table.name] = files

    def _refuse_foreign(self, paths: Iterable[str]) -> None:
        """Every engine would show the rows of a copy in a partition's folder beside the partition's own."""
        foreign = next((path for path in paths if FileKind.of(path) is FileKind.FOREIGN), None)
        if foreign is not None:
            raise LakeError(
                f"{self._lake}/{foreign} is not a file of the collector, and its rows would be shown beside the "
                "lake's own. Run `collector repair --foreign` to quarantine it"
            )

    def forget_errors(self) -> None:
        """Before a statement: `error` is about the files that are read from now on."""
        for handler in self._handlers.values():
            handler.errors.clear()

    def error(self) -> LakeError | None:
        """Why a scan failed: the first file that could not be read, or whose content is damaged; None: neither."""
        for handler in self._handlers.values():
            if handler.errors:
                return handler.errors[0]
        # A damaged page ends a scan with an error that does not name the file.
        damaged = (handler.find_damaged() for handler in self._handlers.values())
        return next((error for error in damaged if error is not None), None)


def _dataset(table: Table, paths: Sequence[str], handler: _TableFiles) -> ds.Dataset | pa.Table:
    """The files as a dataset, of which a scan reads the partitions that its filter matches; without files, no rows."""
    fields = pa.schema([(column.name, column.type) for column in table.all_columns])
    if not paths:
        return fields.empty_table()
    partitioning = ds.partitioning(table.partition_schema, flavor="hive")
    return ds.dataset(paths, schema=fields, format=_FORMAT, filesystem=PyFileSystem(handler), partitioning=partitioning)


class _TableFiles(FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """A table's files as an Arrow file system, for reading files whose paths are known.

    No Python exception may pass through Arrow. A scan that fails formats its error while it holds a lock of its own,
    and needs the interpreter for a Python error; the thread that started the scan holds the interpreter and waits for
    that lock. So a file is read completely when it is opened, and one that cannot be read is given to Arrow as an
    empty one, which it refuses with its own error; the reason is in `errors`.
    """

    def __init__(self, store: Store, lake: str, table: Table) -> None:
        self._store, self._lake, self._schema = store, lake, table.schema
        self._read: dict[str, Version] = {}
        self.errors: list[LakeError] = []

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def get_type_name(self) -> str:
        """The file system's name in messages."""
        return "lake"

    def normalize_path(self, path: str) -> str:
        """The path as it is: the store gave it."""
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[FileInfo]:
        """All are files: the store listed them."""
        return [FileInfo(path, FileType.File) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """The file's content in memory; an empty file, and an entry in `errors`, where it cannot be read."""
        try:
            content = self._content(path)
            self._check_columns(path, content)
        except LakeError as error:
            self.errors.append(error)
            content = pa.py_buffer(b"")
        return pa.BufferReader(content)

    def find_damaged(self) -> LakeError | None:
        """Read the files that were opened once more, to their ends; the error of the first that cannot be read."""
        for path in sorted(self._read):
            try:
                content = self._content(path)
                _parquet_file(content).read(use_threads=False)
            except LakeError as error:
                return error
            except (pa.ArrowException, OSError, ValueError) as error:
                return self._damaged(path, str(error))
        return None

    def _content(self, path: str) -> pa.Buffer:
        """One version of the file: the same as before, where it has been read. Raises LakeError."""
        opened = self._store.open(path)
        if opened is None:
            raise LakeError(f"{self._lake}/{path} was removed while it was being read: repeat the query")
        source, version = opened
        with source:
            # A scan that opens a file a second time uses the footer that it has read the first time.
            if self._read.setdefault(path, version) != version:
                raise LakeError(f"{self._lake}/{path} was replaced while it was being read: repeat the query")
            return source.read_buffer()

    def _check_columns(self, path: str, content: pa.Buffer) -> None:
        """Raise DamagedFile unless it is the file of its path, with its columns; those at the end may be missing."""
        try:
            file = _parquet_file(content)
            found, footer = file.schema_arrow, file.metadata.metadata or {}
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(path, str(error)) from error
        place = footer.get(PLACE.encode(), path.encode())
        if place != path.encode():
            raise self._damaged(path, f"it is the file of {place.decode('utf-8', 'replace')}")
        for place, declared in enumerate(list(self._schema)[: max(len(found), 1)]):
            if place == len(found) or found.field(place).name != declared.name:
                raise self._damaged(path, f"its columns are {', '.join(found.names)}")
            if found.field(place).type != declared.type:
                raise self._damaged(path, f"its column {declared.name} is {found.field(place).type}")

    def _damaged(self, path: str, reason: str) -> DamagedFile:
        """The error that names the file. Only the reason's first line is kept."""
        return DamagedFile(f"{self._lake}/{path}", reason.splitlines()[0] if reason else "no reason given")

    def _unsupported(self, *_: Any) -> Any:
        raise NotImplementedError("tables are read-only here")

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = _unsupported
    get_file_info_selector = move = open_append_stream = open_input_stream = open_output_stream = _unsupported


def _parquet_file(content: pa.Buffer) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True, pre_buffer=False)
