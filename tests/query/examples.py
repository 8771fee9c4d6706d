"""The examples of docs/queries.md and the excerpts of their answers; `python -m tests.query.examples` renews those."""

from __future__ import annotations

import io
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collector.lake.stores import open_store
from collector.query.engines.engine import absent_tables, lake_location
from collector.query.output import Format, write_result
from collector.query.session import Session

if TYPE_CHECKING:
    from tests.night import Night

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "queries.md"
EXCERPT = 6
"""Rows that the page shows of an answer."""
_EXAMPLE = re.compile(
    r"### (?P<title>[^\n]+)\n(?P<prose>.*?)```sql\n(?P<sql>.*?)```\n(?:\n```\n(?P<said>.*?)```\n)?", re.DOTALL
)


@dataclass(frozen=True)
class Example:
    """A title, what it tells, the statement, and what the page says that it answers."""

    title: str
    prose: str
    sql: str
    said: str


def examples() -> list[Example]:
    """All of them."""
    return [
        Example(found["title"], found["prose"].strip(), found["sql"], found["said"] or "")
        for found in _EXAMPLE.finditer(PAGE.read_text())
    ]


def session(night: Night) -> Session:
    """As `collector sql` opens one."""
    config = night.settings()
    store = open_store(config.lake, config.workspaces[0].name)
    return Session(lake_location(config, absent_tables(store)), store)


def excerpt(opened: Session, sql: str) -> str:
    """The first rows of an answer, as `collector sql` prints them."""
    (answer,) = opened.execute(sql)
    text = io.BytesIO()
    write_result(answer, Format.TABLE, text)
    *lines, count = text.getvalue().decode().splitlines()
    shown = lines[: 2 + EXCERPT]
    return "\n".join([*shown, *(["…"] if len(shown) < len(lines) else []), count]) + "\n"


def renew() -> None:
    """Write the excerpts anew."""
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
