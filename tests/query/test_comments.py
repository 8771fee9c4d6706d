from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.lake.tables import TABLES, DataTable, Table

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "tables.md").read_text()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_tables_page_repeats_the_comments(table: Table) -> None:
    """docs/tables.md repeats each column's comment, in the table's section and in the columns' order."""
    title = f"{table.metric.name}_SCOPE_UNIT" if isinstance(table, DataTable) else table.name
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in re.findall(r"^\| `.*\|$", section, re.MULTILINE)]
    documented = {cells[0].strip(" `"): cells[-1].strip() for cells in rows}
    names = [column.name for column in table.columns]
    assert [name for name in documented if name in names] == names
    assert {name: documented[name] for name in names} == {column.name: column.comment for column in table.columns}


def test_comments_are_plain_text() -> None:
    """A comment is one line of printable ASCII."""
    texts = [column.comment for table in TABLES for column in table.all_columns]
    assert all(re.fullmatch(r"[ -~]+", text) for text in [*texts, *(table.comment for table in TABLES)])
