from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from collector.query import QueryRefused
from collector.query.output import Format, write_result
from tests.query.examples import session
from tests.query.terminal import on_a_terminal

if TYPE_CHECKING:
    from tests.support.night import Night

WIDTHS = [120, 60]
WIDE = "SELECT * FROM app_segment_hours ORDER BY ALL LIMIT 2"


def lines(result: pa.Table, width: int | None) -> list[str]:
    """The result as a text table on a terminal of that width."""
    text = io.BytesIO()
    write_result(result, Format.TABLE, text, width)
    return text.getvalue().decode().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "statement",
    [
        WIDE,
        "SELECT * FROM collection_log LIMIT 3",
        "SELECT view_name AS name, comment FROM duckdb_views()",
        "DESCRIBE app_hours",
        "SUMMARIZE app_days",
        "SELECT repeat('x', 500) AS x, 1 AS y",
        "SELECT repeat('größe 東京 ', 40) AS x",
    ],
)
def test_no_line_is_wider_than_the_terminal(night: Night, statement: str, width: int) -> None:
    """Nothing is left to the terminal's own folding, which breaks columns; no text is cut."""
    with session(night) as opened:
        result = next(opened.execute(statement))
    shown = lines(result, width)
    assert max(map(len, shown)) <= width
    assert shown[-1] == f"({len(result)} {'row' if len(result) == 1 else 'rows'})"


def test_a_text_column_is_wrapped_between_words() -> None:
    """A table that is too wide because of one text column keeps its form; the column's text takes several lines."""
    result = pa.table({"name": ["ios", "android"], "meaning": ["one row for each app", "short"], "count": [1, 20]})
    assert lines(result, 32) == [
        "name     meaning           count",
        "-------  ----------------  -----",
        "ios      one row for each      1",
        "         app",
        "android  short                20",
        "(2 rows)",
    ]


def test_rows_that_do_not_fit_are_shown_one_value_a_line() -> None:
    """A row with many columns becomes a block, in which a long value is wrapped as well."""
    result = pa.table({"a": ["x" * 12, None], "bb": ["y" * 12, "z"], "ccc": [12345678901234567, 2]})
    assert lines(result, 16) == [
        "- row 1 --------",
        "a    xxxxxxxxxxx",
        "     x",
        "bb   yyyyyyyyyyy",
        "     y",
        "ccc  12345678901",
        "     234567",
        "- row 2 --------",
        "a    NULL",
        "bb   z",
        "ccc  2",
        "(2 rows)",
    ]


def test_wide_characters_keep_the_columns_in_line() -> None:
    """A character that takes two cells is padded as two."""
    result = pa.table({"name": ["東京", "ios"], "n": [1, 2]})
    assert lines(result, None) == ["name  n", "----  -", "東京  1", "ios   2", "(2 rows)"]


def test_control_characters_are_escaped() -> None:
    """A text of more than one line, or with a terminal's escape codes, stays in its cell and has no effect."""
    result = pa.table({"text": ["two\nlines", "\x1b[31mred"]})
    assert lines(result, 80)[2:] == ["two\\nlines", "\\x1b[31mred", "(2 rows)"]


@pytest.mark.parametrize(
    ("statement", "formats"),
    [("SELECT DATE '20000-01-01' AS x", "table csv json"), ("SELECT INTERVAL 1 MONTH AS x", "parquet")],
)
def test_values_that_a_format_does_not_have_are_refused(night: Night, statement: str, formats: str) -> None:
    """They are no bug of the program: one line says what to write."""
    with session(night) as opened:
        result = next(opened.execute(statement))
    for name in formats.split():
        with pytest.raises(QueryRefused, match="cast its columns to VARCHAR"):
            write_result(result, Format(name), io.BytesIO())


def test_without_a_terminal_no_line_is_broken(night: Night) -> None:
    """In a pipe or a file, each row is one line."""
    with session(night) as opened:
        result = next(opened.execute(WIDE))
    assert len(lines(result, None)) == 2 + 2 + 1


@pytest.mark.parametrize("width", WIDTHS)
def test_the_prompt_fits_the_terminal(night: Night, width: int) -> None:
    """At the prompt, help, .tables and a wide answer have no line wider than the terminal; tables come before views."""
    command = [sys.executable, "-m", "collector", "-c", str(night.config), "sql"]
    code, output = on_a_terminal(command, [b".tables\n", WIDE.encode() + b";\n", b".quit\n"], width)
    shown = output.replace("\r", "").splitlines()
    assert code == 0
    assert max(len(line) for line in shown if "sql> " not in line) <= width
    assert output.index("sessions_workspace_segment_hourly") < output.index("app_days")
    assert "- row 2 -" in output
