from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/lakes.md").read_text()


def test_each_test_that_the_page_names_is_there() -> None:
    """Each cell of the table that names a test names one that exists."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) >= 20
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_each_cell_is_filled() -> None:
    """A store and a promise: a test, a reason why there is none, or that it is not tested here."""
    table = PAGE[PAGE.index("| promise |") :].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 6, row
        assert all(cells), row
