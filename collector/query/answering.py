"""What `sql` does: statements from its argument, stdin or a person, and answers to stdout or a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from collector.query.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from collector.config.settings import Config
    from collector.lake.store import Store
    from collector.query.session import Session


def refuse_bytes_on_a_terminal(kind: str, output: Path | None) -> None:
    """Raises Refused before anything is opened."""
    if kind == "parquet" and output is None and sys.stdout.isatty():
        raise Refused("Parquet is no text for a terminal: name a file with --output, or pipe it")


def session(config: Config, store: Store) -> AbstractContextManager[Session]:
    """DuckDB over the lake. Raises Refused where it is not installed, LakeError where the lake cannot be read."""
    try:
        from collector.query.session import Session
    except ModuleNotFoundError as error:
        if error.name != "duckdb":
            raise
        raise Refused("sql needs DuckDB: install it with pip install 'braze-session-collector[sql]'") from error
    from collector.lake.catalog import TABLES
    from collector.query.ground import absent_tables, ground_of

    ground = ground_of(config, absent_tables(store))
    if len(ground.absent) == len(TABLES):
        click.echo(f"the lake {config.lake} is empty: `collector run` fills it", err=True)
    return Session(ground, store)


def run(session: Session, statement: str | None, kind: str, output: Path | None) -> None:
    """Carry the statement out, or what stdin holds, or what a person types. Raises Refused, LakeError."""
    from collector.query.session import Unanswered

    def answer(text: str) -> None:
        _answer(session, text, kind, output)

    try:
        if statement is not None or not sys.stdin.isatty():
            answer(statement if statement is not None else sys.stdin.read())
        else:
            _converse(answer)
    except Unanswered as error:
        raise Refused(str(error)) from error


def _answer(session: Session, text: str, kind: str, output: Path | None) -> None:
    """Every answer that there is, each written when it is whole; anything but tables has room for one."""
    from collector.query.formats import Format, write
    from collector.query.session import Unanswered

    answers = session.answers(text)
    if kind == Format.TABLE and output is None:
        for each in answers:
            write(each, Format.TABLE, sys.stdout.buffer)
        return
    found = list(answers)
    if len(found) != 1:
        raise Unanswered(f"{len(found)} answers: with --format or --output write one statement that has one")
    if output is None:
        write(found[0], Format(kind), sys.stdout.buffer)
        return
    try:
        with output.open("wb") as stream:
            write(found[0], Format(kind), stream)
    except OSError as error:
        raise Refused(f"cannot write {output}: {error.strerror}") from error


def _converse(answer: Callable[[str], None]) -> None:
    import readline  # noqa: F401  # line editing and history for input()
    import signal

    from collector.query.prompt import converse

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C drops a line, not the prompt
    try:
        converse(input, answer, lambda text: click.echo(text, nl=False))
    finally:
        signal.signal(signal.SIGINT, before)
