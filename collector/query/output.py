"""Query results as bytes, and the interactive prompt of `sql`.

In: Arrow tables. Out: a text table, CSV, JSON or Parquet. Instants are ISO 8601 in UTC in all text formats. A text
table is fitted to a terminal's width, and to no width elsewhere.
"""

from __future__ import annotations

import csv
import io
import textwrap
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from rich.cells import cell_len, chop_cells

from collector.lake.store import LakeError
from collector.query import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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
_PROMPT_HELP = """\
End each statement with ;     .tables lists tables and views
DESCRIBE name; its columns    .quit or Ctrl-D leaves
"""
_LIST_TABLES = """
SELECT view_name AS name, array_to_string(
  [part FOR part IN string_split(comment, '; ') IF NOT contains(part, 'never add them up')], '; ') AS "what a row is"
FROM duckdb_views() WHERE NOT internal ORDER BY temporary DESC, name"""
"""Tables first: the session registers them as temporary views. What all data tables say is left out."""

_GAP = 2
"""Blanks between columns."""
_NARROWEST = 12
"""The fewest characters of a column whose text is wrapped; below, rows are shown one value a line."""


def write_result(result: pa.Table, result_format: Format, stream: BinaryIO, width: int | None = None) -> None:
    """Write one result. `width`: the terminal's, for a text table; None: lines of any length.

    Raises QueryRefused where the format, or Python, has no such value: the year 20,000, an interval in Parquet.
    """
    try:
        _write(result, result_format, stream, width)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
        raise QueryRefused(
            f"the result cannot be written as {result_format} ({error}): cast its columns to VARCHAR"
        ) from error


def _write(result: pa.Table, result_format: Format, stream: BinaryIO, width: int | None) -> None:
    if result_format is Format.PARQUET:
        pq.write_table(result, pa.PythonFile(stream, mode="w"), compression="zstd")
    elif result_format is Format.JSON:
        options = orjson.OPT_UTC_Z | orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
        stream.write(orjson.dumps(result.to_pylist(), default=_json_value, option=options))
    else:
        text = _csv(result) if result_format is Format.CSV else _text_table(result, width)
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


def _text_table(result: pa.Table, width: int | None) -> str:
    if result.column_names == _EXPLAIN_COLUMNS:
        return "\n".join(result["explain_value"].to_pylist()) + "\n"
    cells = [result.column_names, *([_printable(_text(value)) for value in row] for row in _rows(result))]
    widths = _fitted([max(map(cell_len, column)) for column in zip(*cells, strict=True)], width, result.schema)
    if widths is None:
        lines = _one_value_a_line(cells[0], cells[1:], width or 0)
    else:
        numeric = [_is_numeric(field.type) for field in result.schema]
        rows = [cells[0], ["-" * width for width in widths], *cells[1:]]
        lines = (line for row in rows for line in _row_lines(row, widths, numeric))
    count = f"({result.num_rows} {'row' if result.num_rows == 1 else 'rows'})"
    return "\n".join([*lines, count]) + "\n"


def _fitted(widths: list[int], total: int | None, schema: pa.Schema) -> list[int] | None:
    """The widths, with the widest text column made narrower where a terminal needs it; None where that won't do."""
    excess = sum(widths) + _GAP * (len(widths) - 1) - total if total is not None else 0
    if excess <= 0:
        return widths
    texts = [place for place, field in enumerate(schema) if pa.types.is_string(field.type)]
    widest = max(texts, key=widths.__getitem__, default=0)
    narrower = widths[widest] - excess
    fits = bool(texts) and narrower >= _NARROWEST
    return [*widths[:widest], narrower, *widths[widest + 1 :]] if fits else None


def _row_lines(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> Iterator[str]:
    """A row's lines: more than one where a cell is wider than its column."""
    wrapped = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    for cells in zip_longest(*wrapped, fillvalue=""):
        padded = (
            " " * (width - cell_len(cell)) + cell if right else cell + " " * (width - cell_len(cell))
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        yield (" " * _GAP).join(padded).rstrip()


def _one_value_a_line(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Each row as a block of lines: a column's name, and its value."""
    left = max(map(cell_len, names))
    for number, row in enumerate(rows, start=1):
        title = f"- row {number} "
        yield title + "-" * (width - len(title))
        for name, value in zip(names, row, strict=True):
            right = max(width - left - _GAP, 1)
            yield from _row_lines([name, value], [left, right], [False, False])


def _wrapped(cell: str, width: int) -> list[str]:
    """The cell's text in lines that fit, split between words where that is possible."""
    if cell_len(cell) <= width:
        return [cell]
    return [part for line in textwrap.wrap(cell, width) for part in chop_cells(line, width)] or [""]


def _printable(text: str) -> str:
    """The text in one line, with control characters escaped: it may come from a server."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


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
