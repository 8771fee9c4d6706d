"""Log lines: one handler for the package's loggers, as plain lines or as one JSON object a line.

In: the standard library's log records. Out: lines on a stream, UTC, none of them with a key in it. It never raises: a
run goes on where nobody reads its log.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TextIO

import orjson

from collector.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collector.config.settings import Secret

PACKAGE = "collector"
REQUESTS = "collector.fetch"

FOREIGN = ("asyncio", "aiohttp")
"""Loggers of others that speak about this program; from WARNING on, their lines go the same way and lose the keys."""

_NOT_EXTRA = frozenset(vars(logging.makeLogRecord({}))) | {
    "time",
    "level",
    "logger",
    "message",
    "exception",
    "taskName",
}


def configure(
    level: int, style: Literal["text", "json"], secrets: Iterable[Secret], stream: TextIO, *, requests: bool = True
) -> None:
    """Send the package's log lines from `level` on to the stream, and nowhere that an earlier call named.

    requests: whether those of each request are among them, where the level lets them through.
    """
    lines = LineHandler(stream, style, Redactor(secrets))
    for name in (PACKAGE, *FOREIGN):
        logger = logging.getLogger(name)
        for handler in _installed(logger):
            logger.removeHandler(handler)
        logger.addHandler(lines)
    logging.getLogger(PACKAGE).setLevel(level)
    logging.getLogger(REQUESTS).setLevel(logging.NOTSET if requests else max(level, logging.INFO))


@contextlib.contextmanager
def redirect_lines(stream: TextIO, write: Callable[[str], object]) -> Iterator[None]:
    """Meanwhile hand lines meant for the stream to `write`, without their newline: something else is drawn there."""
    chosen = [lines for lines in _installed(logging.getLogger(PACKAGE)) if lines.stream is stream]
    for lines in chosen:
        lines.write = write
    try:
        yield
    finally:
        for lines in chosen:
            lines.write = lines.write_to_stream


class LineHandler(logging.Handler):
    """Writes records as lines. `write` takes a whole line and may be replaced for a while (`diverted`)."""

    def __init__(self, stream: TextIO, style: Literal["text", "json"], redactor: Redactor) -> None:
        super().__init__()
        self.stream = stream
        self._redactor = redactor
        self._render = self._as_json if style == "json" else self._as_text
        self.write: Callable[[str], object] = self.write_to_stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        line = self._render(record)
        # ValueError: the stream was closed; OSError: nobody is at its other end.
        with contextlib.suppress(OSError, ValueError):
            self.write(line)

    def write_to_stream(self, line: str) -> None:
        """Write at once: what was said ahead of a crash counts most."""
        self.stream.write(f"{line}\n")
        self.stream.flush()

    def _as_text(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname} {_logger(record)}  {_message(record)}"
        return self._redactor.text("\n".join(filter(None, (head, _trace(record)))))

    def _as_json(self, record: logging.LogRecord) -> str:
        told: dict[object, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": _logger(record),
            "message": _message(record),
        }
        told |= {name: value for name, value in vars(record).items() if name not in _NOT_EXTRA}
        if trace := _trace(record):
            told["exception"] = trace
        return orjson.dumps(self._redactor.json(told)).decode()


def _installed(logger: logging.Logger) -> list[LineHandler]:
    return [handler for handler in logger.handlers if isinstance(handler, LineHandler)]


def _time(record: logging.LogRecord) -> str:
    written = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def _logger(record: logging.LogRecord) -> str:
    return record.name.removeprefix(f"{PACKAGE}.")


def _message(record: logging.LogRecord) -> str:
    """The message; where text and arguments do not fit, both as they are, since logging itself would show the keys."""
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
