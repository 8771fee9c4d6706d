"""Tables of a lake in an object store as Arrow datasets: listed once, each file opened by the store when it is read.

DuckDB's own readers of object stores are extensions that it downloads; the store is there, with its credentials.

No exception of Python's ever passes through Arrow: a scan that fails spells its error out under a lock of its own, for
which an error of Python's needs the interpreter, and the thread that begins the scan holds that and waits for the lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FileInfo, FileSystemHandler, FileType, PyFileSystem

from collector.lake.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.lake.catalog import Table
    from collector.lake.store import Store


def dataset(store: Store, table: Table, unread: list[LakeError]) -> ds.Dataset | pa.Table:
    """The table as it is now; an empty one where it has no file. Raises LakeError.

    `unread` gets the reason for each file that a scan could not read; the scan itself ends in an error of Arrow's.
    """
    fields = pa.schema([(column.name, column.type) for column in table.all_columns])
    paths = sorted(path for path in store.list(table.name) if path.endswith(".parquet"))
    if not paths:
        return fields.empty_table()
    partitioning = ds.partitioning(table.partition_schema, flavor="hive")
    filesystem = PyFileSystem(_StoreFiles(store, unread))
    return ds.dataset(paths, schema=fields, format="parquet", filesystem=filesystem, partitioning=partitioning)


class _StoreFiles(FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """A store as Arrow's file system, for reading files whose paths are known."""

    def __init__(self, store: Store, unread: list[LakeError]) -> None:
        self._store, self._unread = store, unread

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StoreFiles) and other._store is self._store

    def __hash__(self) -> int:
        return hash(id(self._store))

    def get_type_name(self) -> str:
        """For messages."""
        return "lake"

    def normalize_path(self, path: str) -> str:
        """Paths are as the store gave them."""
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[FileInfo]:
        """All are files: the store listed them."""
        return [FileInfo(path, FileType.File) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Open one version of the file; in place of one that cannot be read an empty one, which Arrow refuses."""
        try:
            opened = self._store.open(path)
        except LakeError as error:
            self._unread.append(error)
            return pa.BufferReader(b"")
        if opened is None:
            self._unread.append(LakeError(f"{path} was removed while it was being read: repeat the query"))
            return pa.BufferReader(b"")
        return opened[0]

    def _refused(self, *_: Any) -> Any:
        raise NotImplementedError("tables are only read here")

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = _refused
    get_file_info_selector = move = open_append_stream = open_input_stream = open_output_stream = _refused
