from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/lakes.md").read_text()


def test_each_test_that_the_page_names_exists() -> None:
    """Each test that the page names is defined in a test file."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) >= 20
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_each_cell_is_filled() -> None:
    """For each store and promise: a test, the reason why there is none, or that it is not tested here."""
    table = PAGE[PAGE.index("| promise |") :].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 6, row
        assert all(cells), row
