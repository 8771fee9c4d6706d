"""An answer as bytes: a table for people, CSV, JSON, Parquet. Instants are ISO 8601 in UTC in all of them."""

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

if TYPE_CHECKING:
    from typing import BinaryIO

_PLAN = ["explain_key", "explain_value"]
"""The columns of DuckDB's EXPLAIN, whose text is drawn over many lines."""


class Format(StrEnum):
    """What `--format` takes."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def write(answer: pa.Table, kind: Format, stream: BinaryIO) -> None:
    """Write an answer."""
    if kind is Format.PARQUET:
        pq.write_table(answer, pa.PythonFile(stream, mode="w"), compression="zstd")
    elif kind is Format.JSON:
        options = orjson.OPT_UTC_Z | orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
        stream.write(orjson.dumps(answer.to_pylist(), default=_plain, option=options))
    else:
        lines = _csv(answer) if kind is Format.CSV else _table(answer)
        stream.write(lines.encode())


def _csv(answer: pa.Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.column_names)
    writer.writerows([["" if value is None else _text(value) for value in row] for row in _rows(answer)])
    return text.getvalue()


def _table(answer: pa.Table) -> str:
    if answer.column_names == _PLAN:
        return "\n".join(answer["explain_value"].to_pylist()) + "\n"
    cells = [answer.column_names, *([_text(value) for value in row] for row in _rows(answer))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    figures = [_is_figure(field.type) for field in answer.schema]
    lines = [
        "  ".join(
            cell.rjust(width) if figure else cell.ljust(width)
            for cell, width, figure in zip(row, widths, figures, strict=True)
        ).rstrip()
        for row in [cells[0], ["-" * width for width in widths], *cells[1:]]
    ]
    count = f"({answer.num_rows} {'row' if answer.num_rows == 1 else 'rows'})"
    return "\n".join([*lines, count]) + "\n"


def _rows(answer: pa.Table) -> list[tuple[Any, ...]]:
    """By place, not by name: an answer may have two columns of one name."""
    return list(zip(*(column.to_pylist() for column in answer.columns), strict=True))


def _is_figure(kind: pa.DataType) -> bool:
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
    return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS).decode()


def _plain(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, Decimal):
        return float(value)
    return value.hex() if isinstance(value, bytes) else str(value)
