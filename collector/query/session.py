"""DuckDB over a lake: every table and view by its name. Statements in, Arrow tables out. Nothing is ever written.

DuckDB has no access to files here, nor to the network, and its configuration is locked. It sees each table as an
Arrow dataset, which is read through the store (`datasets.py`). So what a statement's type does not give away writes
nothing either: a COPY in a CTE of a SELECT, a function that writes a log, text that is executed by `query('…')`.
Requires the extra `sql`. Times are in UTC. Results pass through Arrow, which handles time zones without pytz.
"""

from __future__ import annotations

from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from collector.query import QueryRefused
from collector.query.datasets import LakeFiles
from collector.query.engines.duckdb import DuckDB
from collector.query.engines.engine import refuse_links
from collector.query.views import view_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.lake.store import Store
    from collector.query.engines.engine import LakeLocation


_SETTINGS = (
    "TimeZone = 'UTC'",
    # Otherwise a misspelt table would be looked up among this program's Python variables.
    "python_enable_replacements = false",
    # Secrets and extensions are files in the user's home, and a missing extension would be downloaded.
    "allow_persistent_secrets = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    # Results that do not fit into memory would be written to `.tmp` in the current folder.
    "temp_directory = ''",
    # DuckDB takes it from the environment, and it may hold a password.
    "http_proxy = ''",
    "enable_external_access = false",
    # The last: from here on nothing of this can be changed.
    "lock_configuration = true",
)
_ALLOWED = "only SELECT (with WITH, FROM, DESCRIBE, SUMMARIZE and SHOW) and EXPLAIN without ANALYZE are allowed"
_INTERRUPT_EVERY_SECONDS = 0.05
_INTERRUPT_ATTEMPTS = 100
"""After these, five seconds in all, the statement's thread is left behind."""


class Session:
    """A connection to a lake, as a context manager."""

    def __init__(self, location: LakeLocation, store: Store) -> None:
        """Raises LakeError."""
        self._location, self._files = location, LakeFiles(store, location.lake)
        self._worker: Thread | None = None
        self._connection = duckdb.connect()
        for setting in _SETTINGS:
            self._connection.execute(f"SET {setting}")
        self._register_changed_tables()
        self._connection.execute(";\n".join(view_statements(DuckDB(), location)))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        # `close` would wait for a statement that cannot be interrupted.
        if self._worker is None or not self._worker.is_alive():
            self._connection.close()

    @property
    def is_empty(self) -> bool:
        """Whether the lake has no row yet."""
        return self._files.is_empty

    def execute(self, text: str) -> Iterator[pa.Table]:
        """Execute statements in order; yields the rows of each. None is executed if one of them is refused.

        An exception that a signal raises in this thread interrupts the statement. Raises QueryRefused, LakeError.
        """
        if not _is_text(text):
            raise QueryRefused("the statement is not valid UTF-8 text: save it as UTF-8")
        with self._translate_errors():
            queries = [self._judged(statement) for statement in self._connection.extract_statements(text)]
        self._register_changed_tables()
        for query in queries:
            with self._translate_errors():
                result = self._interruptible(partial(self._rows, query))
            yield _integers(result)

    def _rows(self, query: str) -> pa.Table:
        return self._connection.sql(query).to_arrow_table()

    def _register_changed_tables(self) -> None:
        """Give DuckDB the files as they are now: a run may have landed since the last statement."""
        refuse_links(self._location)
        for table, dataset in self._files.changed():
            self._connection.register(table.name, dataset)
            self._connection.execute(";\n".join(DuckDB().comments(table)))

    def _judged(self, statement: duckdb.Statement) -> str:
        """The statement's text. Raises QueryRefused unless DuckDB's parser takes it for one that only reads.

        The parser gives EXPLAIN ANALYZE, which executes, the same type as EXPLAIN; what follows the word EXPLAIN is
        a statement of its own only if it is neither ANALYZE nor an option. A PIVOT over values that are yet to be
        found has the type MULTI, since DuckDB first creates a temporary type for it; it can be read from.
        """
        query: str = statement.query
        match statement.type:
            case duckdb.StatementType.SELECT:
                allowed = True
            case duckdb.StatementType.EXPLAIN:
                allowed = self._is_of(_explained(query), duckdb.StatementType.SELECT)
            case duckdb.StatementType.MULTI:
                pivot = _explained(query) if query[: len("EXPLAIN")].upper() == "EXPLAIN" else query
                source = f"FROM (\n{pivot.rstrip().rstrip(';')}\n)"
                allowed = self._is_of(source, duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
            case _:
                allowed = False
        if not allowed:
            raise QueryRefused(f"read-only: {_ALLOWED}")
        return query

    def _is_of(self, text: str, *types: duckdb.StatementType) -> bool:
        """Whether the text is one statement of one of these types."""
        try:
            statements = self._connection.extract_statements(text)
        except duckdb.ParserException:
            return False
        return len(statements) == 1 and statements[0].type in types

    def _interruptible(self, work: Callable[[], pa.Table]) -> pa.Table:
        """Do DuckDB's work on a thread of its own; a signal's exception reaches this one, and stops the work.

        Python handles signals between its own instructions, of which DuckDB executes none.
        """
        outcome: Future[pa.Table] = Future()

        def run() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # raised again by `result`
                outcome.set_exception(error)

        # A daemon: the process may end while a statement does not.
        self._worker = Thread(target=run, name="duckdb", daemon=True)
        self._worker.start()
        try:
            wait([outcome])
        except BaseException:
            # An interruption before the statement has begun has no effect, so there may have to be several.
            for _ in range(_INTERRUPT_ATTEMPTS):
                self._connection.interrupt()
                if wait([outcome], _INTERRUPT_EVERY_SECONDS).done:
                    break
            raise
        return outcome.result()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Attribute an error to a file of the lake (LakeError), or else to the statement (QueryRefused)."""
        self._files.forget_errors()
        try:
            yield
        except duckdb.PermissionException as error:
            raise QueryRefused(
                "read-only: files and addresses are neither read nor written, only the lake's tables and views are "
                "read, by their names"
            ) from error
        except (duckdb.Error, pa.ArrowException) as error:
            scan_failed = isinstance(error, (duckdb.InvalidInputException, duckdb.IOException, pa.ArrowException))
            raise (self._files.error() if scan_failed else None) or QueryRefused(_one_line(error)) from error


def _is_text(text: str) -> bool:
    """Whether all of it was decoded. Python keeps bytes of arguments and stdin that are not UTF-8 as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explained(query: str) -> str:
    """What an EXPLAIN explains: all that follows the word, and the option FORMAT where that is the only one."""
    rest = query[len("EXPLAIN") :].lstrip()
    options, closed, statement = rest.partition(")")
    is_format = bool(closed) and options[:1] == "(" and options[1:].lower().split()[:-1] == ["format"]
    return statement if is_format else rest


def _one_line(error: Exception) -> str:
    """DuckDB's message without its excerpt of the statement."""
    kept: list[str] = []
    for line in str(error).splitlines():
        if line.startswith("LINE "):
            break
        kept.append(line.strip())
    return " ".join(filter(None, kept))


def _integers(result: pa.Table) -> pa.Table:
    """The result with int64 columns where DuckDB gives 128-bit decimals, as it does for a sum of counts."""
    for position, field in enumerate(result.schema):
        # A sum of int64 has the type HUGEINT, which Arrow only has as a decimal. Readers of results expect integers.
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            try:
                column = pc.cast(result[field.name], pa.int64())
            except pa.ArrowInvalid:  # larger than int64
                continue
            result = result.set_column(position, field.name, column)
    return result
