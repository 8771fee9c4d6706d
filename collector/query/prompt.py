"""The interactive prompt of `sql`: statements over several lines until `;`, and a few words of its own.

An error is told and does not end it; Ctrl-C drops the line, Ctrl-D ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.lake.errors import LakeError
from collector.query.session import Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST, NEXT = "sql> ", "...> "
HELP = (
    "A statement ends with ;   .tables lists tables and views   .quit, or Ctrl-D, leaves   DESCRIBE name; its columns\n"
)
LISTING = """
SELECT view_name AS name, comment AS "what a row is" FROM duckdb_views() WHERE NOT internal
ORDER BY starts_with(name, 'sessions_') OR name IN ('restatements', 'coverage', 'collection_log') DESC, name"""


def converse(read: Callable[[str], str], answer: Callable[[str], None], say: Callable[[str], None]) -> None:
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
        except (Unanswered, LakeError) as error:
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
