"""The examples of docs/queries.md. `python -m tests.query.examples` writes the excerpts of their results again."""

from __future__ import annotations

import io
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collector.lake.stores import open_store
from collector.query.engines.engine import lake_location
from collector.query.output import Format, write_result
from collector.query.session import Session

if TYPE_CHECKING:
    from tests.support.night import Night

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "queries.md"
EXCERPT = 6
"""Rows of a result that the page shows."""
_EXAMPLE = re.compile(
    r"### (?P<title>[^\n]+)\n(?P<prose>.*?)```sql\n(?P<sql>.*?)```\n(?:\n```\n(?P<excerpt>.*?)```\n)?", re.DOTALL
)


@dataclass(frozen=True)
class Example:
    """A title, its explanation, the statement, and the excerpt of its result."""

    title: str
    prose: str
    sql: str
    excerpt: str


def examples() -> list[Example]:
    """All examples, in the order of the page."""
    return [
        Example(found["title"], found["prose"].strip(), found["sql"], found["excerpt"] or "")
        for found in _EXAMPLE.finditer(PAGE.read_text())
    ]


def session(night: Night) -> Session:
    """A session over the lake, as `collector sql` opens it."""
    config = night.settings()
    store = open_store(config.lake, config.workspaces[0].name)
    return Session(lake_location(config), store)


def excerpt(opened: Session, sql: str) -> str:
    """The first rows of a result, as `collector sql` prints them."""
    (result,) = opened.execute(sql)
    text = io.BytesIO()
    write_result(result, Format.TABLE, text)
    *lines, count = text.getvalue().decode().splitlines()
    shown = lines[: 2 + EXCERPT]
    return "\n".join([*shown, *(["…"] if len(shown) < len(lines) else []), count]) + "\n"


def renew() -> None:
    """Write the excerpts of docs/queries.md again."""
    from tests.query.nights import eight_nights

    with tempfile.TemporaryDirectory() as folder, session(eight_nights(Path(folder))) as opened:
        PAGE.write_text(
            _EXAMPLE.sub(
                lambda found: (
                    f"### {found['title']}\n{found['prose']}```sql\n{found['sql']}```\n\n"
                    f"```\n{excerpt(opened, found['sql'])}```\n"
                ),
                PAGE.read_text(),
            )
        )


if __name__ == "__main__":
    renew()
