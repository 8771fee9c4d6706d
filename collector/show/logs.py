"""Log lines, as plain text or as one JSON object a line.

In: log records of the standard library; text for people, where the stream is JSON. Out: lines on a stream, with times
in UTC and without API keys. A stream that is closed, full or has no reader is not an error: the run continues.
"""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TextIO

import orjson

from collector.redaction import Redactor, use_for_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collector.config.settings import Secret

PACKAGE = "collector"
REQUESTS = "collector.fetch"

LIBRARIES = ("asyncio", "aiohttp")
"""Loggers of libraries. Their records, from WARNING on, are written in the same way, so they lose the keys, too."""

_NOT_EXTRA = frozenset(vars(logging.makeLogRecord({}))) | {
    "time",
    "level",
    "logger",
    "message",
    "exception",
    "taskName",
}


def configure(
    level: int,
    style: Literal["text", "json"],
    secrets: Iterable[Secret],
    stream: TextIO | JsonLines,
    *,
    requests: bool = True,
) -> None:
    """Write the package's log records from `level` on to the stream. It replaces the stream of an earlier call.

    requests: whether to include the records of each single request, where the level includes them.
    """
    redactor = Redactor(secrets)
    use_for_process(redactor)
    if isinstance(stream, JsonLines):
        stream.redactor, stream = redactor, stream.target
    handler = LineHandler(stream, style, redactor)
    for name in (PACKAGE, *LIBRARIES):
        logger = logging.getLogger(name)
        for previous in _installed(logger):
            logger.removeHandler(previous)
        logger.addHandler(handler)
    logging.getLogger(PACKAGE).setLevel(level)
    logging.getLogger(REQUESTS).setLevel(logging.NOTSET if requests else max(level, logging.INFO))


@contextlib.contextmanager
def redirect_lines(stream: TextIO, write: Callable[[str], object]) -> Iterator[None]:
    """Within the block, pass lines for the stream to `write`, without a newline: bars are drawn on that stream."""
    handlers = [each for each in _installed(logging.getLogger(PACKAGE)) if each.stream is stream]
    for handler in handlers:
        handler.write = write
    try:
        yield
    finally:
        for handler in handlers:
            handler.write = handler.write_to_stream


class LineHandler(logging.Handler):
    """Writes each record as a line. `write` takes one line; `redirect_lines` replaces it for a while."""

    def __init__(self, stream: TextIO, style: Literal["text", "json"], redactor: Redactor) -> None:
        super().__init__()
        self.stream = stream
        self._redactor = redactor
        self._render = self._as_json if style == "json" else self._as_text
        self.write: Callable[[str], object] = self.write_to_stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        line = self._render(record)
        # ValueError: the stream is closed. OSError: a pipe without a reader.
        with contextlib.suppress(OSError, ValueError):
            self.write(line)

    def write_to_stream(self, line: str) -> None:
        """Write and flush: the last lines before a crash matter most."""
        self.stream.write(f"{line}\n")
        self.stream.flush()

    def _as_text(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname} {_logger(record)}  {_message(record)}"
        return self._redactor.text("\n".join(filter(None, (head, _trace(record)))))

    def _as_json(self, record: logging.LogRecord) -> str:
        members: dict[object, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": _logger(record),
            "message": _message(record),
        }
        members |= {name: value for name, value in vars(record).items() if name not in _NOT_EXTRA}
        if trace := _trace(record):
            members["exception"] = trace
        return orjson.dumps(self._redactor.json(members)).decode()


class JsonLines(io.TextIOBase):
    """Text for people on a stream of JSON: each of its lines becomes one object, like a log line."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, target: TextIO) -> None:
        self.target, self.redactor = target, Redactor(())
        self._rest = ""
        self._block: list[str] | None = None

    def write(self, text: str, /) -> int:
        """Write an object for each line that is complete and not empty, unless the lines are one block."""
        if self._block is not None:
            self._block.append(text)
            return len(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self.record(logging.INFO, line)
        return len(text)

    def record(self, level: int, message: str, **members: object) -> None:
        """Write one object, of one or more lines of text."""
        if message := message.strip("\n"):
            given = {"name": "cli", "levelno": level, "levelname": logging.getLevelName(level), "msg": message}
            record = logging.makeLogRecord(members | given)
            LineHandler(self.target, "json", self.redactor).emit(record)

    @contextlib.contextmanager
    def as_one(self, level: int, **members: object) -> Iterator[None]:
        """All text of the block becomes one object at its end; none after an error."""
        self._block = []
        try:
            yield
            text = "".join(self._block)
        finally:
            self._block = None
        self.record(level, text, **members)

    def flush(self) -> None:
        """Flush what is complete; the end of a line may still come."""
        self.target.flush()

    def close(self) -> None:
        """Write what has no end of a line. The stream itself stays open."""
        self.write("\n" if self._rest else "")
        super().close()

    def isatty(self) -> bool:
        """Never: no colours, and no bars."""
        return False

    def fileno(self) -> int:
        """The descriptor of the stream itself."""
        return self.target.fileno()


def _installed(logger: logging.Logger) -> list[LineHandler]:
    return [handler for handler in logger.handlers if isinstance(handler, LineHandler)]


def _time(record: logging.LogRecord) -> str:
    written = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def _logger(record: logging.LogRecord) -> str:
    return record.name.removeprefix(f"{PACKAGE}.")


def _message(record: logging.LogRecord) -> str:
    """The message. Where format and arguments do not match, both as they are: logging itself would print the keys."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


def _trace(record: logging.LogRecord) -> str:
    parts: list[str] = []
    if record.exc_info and record.exc_info[0] is not None:
        parts += traceback.format_exception(*record.exc_info)
    if record.stack_info:
        parts.append(record.stack_info)
    return "".join(parts).rstrip("\n")
