"""Query results as bytes, and the interactive prompt of `sql`.

In: Arrow tables. Out: a text table, CSV, JSON or Parquet. Instants are ISO 8601 in UTC in all text formats.
"""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from collector.lake.store import LakeError
from collector.query import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO


class Format(StrEnum):
    """The values of `--format`."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


_EXPLAIN_COLUMNS = ["explain_key", "explain_value"]
"""The columns of DuckDB's EXPLAIN, whose value is a drawing of many lines."""

_PROMPT, _CONTINUATION = "sql> ", "...> "
_PROMPT_HELP = "End each statement with ;   .tables: list tables and views   DESCRIBE name; columns   .quit or Ctrl-D\n"
_LIST_TABLES = """
SELECT view_name AS name, comment AS "what a row is" FROM duckdb_views() WHERE NOT internal
ORDER BY starts_with(name, 'sessions_') OR name IN ('restatements', 'coverage', 'collection_log') DESC, name"""


def write_result(result: pa.Table, result_format: Format, stream: BinaryIO) -> None:
    """Write one result."""
    if result_format is Format.PARQUET:
        pq.write_table(result, pa.PythonFile(stream, mode="w"), compression="zstd")
    elif result_format is Format.JSON:
        options = orjson.OPT_UTC_Z | orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
        stream.write(orjson.dumps(result.to_pylist(), default=_json_value, option=options))
    else:
        text = _csv(result) if result_format is Format.CSV else _text_table(result)
        stream.write(text.encode())


def interactive_prompt(read: Callable[[str], str], execute: Callable[[str], None], show: Callable[[str], None]) -> None:
    """Read and execute statements until the user leaves. An error is shown and does not end the prompt.

    Args:
        read: prints a prompt and returns a line; raises EOFError at the end (Ctrl-D), KeyboardInterrupt at Ctrl-C.
        execute: runs the statements of a text and shows their results.
        show: prints help and errors.

    """
    show(_PROMPT_HELP)
    for text in _statements(read, show):
        try:
            if text == ".tables":
                execute(_LIST_TABLES)
            elif text.startswith("."):
                show(_PROMPT_HELP)
            else:
                execute(text)
        except (QueryRefused, LakeError) as error:
            show(f"{error}\n")
        except KeyboardInterrupt:
            show("interrupted\n")


def _statements(read: Callable[[str], str], show: Callable[[str], None]) -> Iterator[str]:
    """Complete statements, which may span lines, and commands that begin with a dot. Ctrl-C drops what was typed."""
    lines: list[str] = []
    while True:
        try:
            line = read(_CONTINUATION if lines else _PROMPT)
        except EOFError:
            show("\n")
            return
        except KeyboardInterrupt:
            show("\n")
            lines = []
            continue
        if not lines and line.strip() in (".quit", ".exit"):
            return
        if not lines and line.startswith("."):
            yield line.strip()
        elif line.strip() or lines:
            lines.append(line)
            if line.rstrip().endswith(";"):
                yield "\n".join(lines)
                lines = []


def _csv(result: pa.Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(result.column_names)
    writer.writerows([["" if value is None else _text(value) for value in row] for row in _rows(result)])
    return text.getvalue()


def _text_table(result: pa.Table) -> str:
    if result.column_names == _EXPLAIN_COLUMNS:
        return "\n".join(result["explain_value"].to_pylist()) + "\n"
    cells = [result.column_names, *([_text(value) for value in row] for row in _rows(result))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [_is_numeric(field.type) for field in result.schema]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in [cells[0], ["-" * width for width in widths], *cells[1:]]
    ]
    count = f"({result.num_rows} {'row' if result.num_rows == 1 else 'rows'})"
    return "\n".join([*lines, count]) + "\n"


def _rows(result: pa.Table) -> list[tuple[Any, ...]]:
    """Rows by position: a result may have two columns of the same name."""
    return list(zip(*(column.to_pylist() for column in result.columns), strict=True))


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _text(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case str() | int() | float() | Decimal():
            return str(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
    return orjson.dumps(value, default=_json_value, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS).decode()


def _json_value(value: Any) -> Any:
    """A JSON value for a type that JSON does not have."""
    if isinstance(value, Decimal):
        return float(value)
    return value.hex() if isinstance(value, bytes) else str(value)
