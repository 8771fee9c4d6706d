"""An answer as bytes: a table for people, CSV, JSON, Parquet. Instants are ISO 8601 in UTC in all of them.

The interactive prompt of `sql`: statements over several lines until `;`, and a few words of its own.

An error is told and does not end it; Ctrl-C drops the line, Ctrl-D ends it.

What `sql` does: statements from its argument, stdin or a person, and answers to stdout or a file.
"""

from __future__ import annotations

import csv
import io
import sys
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from collector.lake.store import LakeError
from collector.query.refused import QueryRefused, StatementError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from collector.config.settings import Config
    from collector.lake.store import Store
    from collector.query.session import Session


_PLAN = ["explain_key", "explain_value"]
"""The columns of DuckDB's EXPLAIN, whose text is drawn over many lines."""


class Format(StrEnum):
    """What `--format` takes."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def write_result(answer: pa.Table, kind: Format, stream: BinaryIO) -> None:
    """Write an answer."""
    if kind is Format.PARQUET:
        pq.write_table(answer, pa.PythonFile(stream, mode="w"), compression="zstd")
    elif kind is Format.JSON:
        options = orjson.OPT_UTC_Z | orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
        stream.write(orjson.dumps(answer.to_pylist(), default=_plain, option=options))
    else:
        lines = _csv(answer) if kind is Format.CSV else _text_table(answer)
        stream.write(lines.encode())


def _csv(answer: pa.Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.column_names)
    writer.writerows([["" if value is None else _text(value) for value in row] for row in _rows(answer)])
    return text.getvalue()


def _text_table(answer: pa.Table) -> str:
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


FIRST, NEXT = "sql> ", "...> "
HELP = (
    "A statement ends with ;   .tables lists tables and views   .quit, or Ctrl-D, leaves   DESCRIBE name; its columns\n"
)
LISTING = """
SELECT view_name AS name, comment AS "what a row is" FROM duckdb_views() WHERE NOT internal
ORDER BY starts_with(name, 'sessions_') OR name IN ('restatements', 'coverage', 'collection_log') DESC, name"""


def interactive_prompt(read: Callable[[str], str], answer: Callable[[str], None], say: Callable[[str], None]) -> None:
    """Until it is left. `read` asks for a line (EOFError ends), `answer` runs statements, `say` tells the rest."""
    say(HELP)
    for text in _statements(read, say):
        try:
            if text == ".tables":
                answer(LISTING)
            elif text.startswith("."):
                say(HELP)
            else:
                answer(text)
        except (StatementError, LakeError) as error:
            say(f"{error}\n")
        except KeyboardInterrupt:
            say("interrupted\n")


def _statements(read: Callable[[str], str], say: Callable[[str], None]) -> Iterator[str]:
    """What was typed: whole statements, and words with a dot in front."""
    lines: list[str] = []
    while True:
        try:
            line = read(NEXT if lines else FIRST)
        except EOFError:
            say("\n")
            return
        except KeyboardInterrupt:
            say("\n")
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


def refuse_bytes_on_a_terminal(kind: str, output: Path | None) -> None:
    """Raises Refused before anything is opened."""
    if kind == "parquet" and output is None and sys.stdout.isatty():
        raise QueryRefused("Parquet is no text for a terminal: name a file with --output, or pipe it")


def session(config: Config, store: Store) -> AbstractContextManager[Session]:
    """DuckDB over the lake. Raises Refused where it is not installed, LakeError where the lake cannot be read."""
    try:
        from collector.query.session import Session
    except ModuleNotFoundError as error:
        if error.name != "duckdb":
            raise
        raise QueryRefused("sql needs DuckDB: install it with pip install 'braze-session-collector[sql]'") from error
    from collector.lake.tables import TABLES
    from collector.query.engines.engine import absent_tables, lake_location

    location = lake_location(config, absent_tables(store))
    if len(location.absent) == len(TABLES):
        click.echo(f"the lake {config.lake} is empty: `collector run` fills it", err=True)
    return Session(location, store)


def run_statements(session: Session, statement: str | None, kind: str, output: Path | None) -> None:
    """Carry the statement out, or what stdin holds, or what a person types. Raises Refused, LakeError."""
    from collector.query.refused import StatementError

    def answer(text: str) -> None:
        _answer(session, text, kind, output)

    try:
        if statement is not None or not sys.stdin.isatty():
            answer(statement if statement is not None else sys.stdin.read())
        else:
            _interactive(answer)
    except StatementError as error:
        raise QueryRefused(str(error)) from error


def _answer(session: Session, text: str, kind: str, output: Path | None) -> None:
    """Every answer that there is, each written when it is whole; anything but tables has room for one."""
    from collector.query.refused import StatementError

    answers = session.answers(text)
    if kind == Format.TABLE and output is None:
        for each in answers:
            write_result(each, Format.TABLE, sys.stdout.buffer)
        return
    found = list(answers)
    if len(found) != 1:
        raise StatementError(f"{len(found)} answers: with --format or --output write one statement that has one")
    if output is None:
        write_result(found[0], Format(kind), sys.stdout.buffer)
        return
    try:
        with output.open("wb") as stream:
            write_result(found[0], Format(kind), stream)
    except OSError as error:
        raise QueryRefused(f"cannot write {output}: {error.strerror}") from error


def _interactive(answer: Callable[[str], None]) -> None:
    import readline  # noqa: F401  # line editing and history for input()
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C drops a line, not the prompt
    try:
        interactive_prompt(input, answer, lambda text: click.echo(text, nl=False))
    finally:
        signal.signal(signal.SIGINT, before)
