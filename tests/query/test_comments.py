from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.lake.tables import TABLES, Table

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "tables.md").read_text()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_tables_page_says_what_the_comments_say(table: Table) -> None:
    """docs/tables.md repeats each column's comment word by word, in the table's own section, in its order."""
    title = "sessions_SCOPE_UNIT" if table.scope else table.name
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in re.findall(r"^\| `.*\|$", section, re.MULTILINE)]
    told = {cells[0].strip(" `"): cells[-1].strip() for cells in rows}
    mine = [column.name for column in table.columns]
    assert [name for name in told if name in mine] == mine
    assert {name: told[name] for name in mine} == {column.name: column.comment for column in table.columns}


def test_comments_fit_into_any_literal() -> None:
    """A comment is one line of plain signs."""
    texts = [column.comment for table in TABLES for column in table.all_columns]
    assert all(re.fullmatch(r"[ -~]+", text) for text in [*texts, *(table.comment for table in TABLES)])
