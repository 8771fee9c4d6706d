from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING, Literal

import orjson
import pytest

from collector.config.settings import Secret
from collector.show.logs import configure, redirect_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = 'k/5f2c+9e "planted'
log = logging.getLogger("collector.fetch.fetcher")


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    names = ("collector", "asyncio", "aiohttp")
    kept = [(logging.getLogger(name), list(logging.getLogger(name).handlers)) for name in names]
    level = logging.getLogger("collector").level
    yield
    for logger, handlers in kept:
        logger.handlers[:] = handlers
    logging.getLogger("collector").setLevel(level)
    logging.getLogger("collector").propagate = True


def logging_to(style: Literal["text", "json"] = "text", level: int = logging.INFO) -> io.StringIO:
    # pytest's own handler fails on records whose format and arguments do not match, and on surrogates.
    logging.getLogger("collector").propagate = False
    stream = io.StringIO()
    configure(level, style, [Secret(KEY)], stream)
    return stream


def test_a_text_line_has_time_level_logger_and_message() -> None:
    """A text line is UTC time with milliseconds, level, logger without the package, message."""
    stream = logging_to()
    log.warning("paused for %d s", 12)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING fetch\.fetcher  paused for 12 s\n", stream.getvalue()
    )


def test_a_json_line_is_one_object_with_its_extra_fields() -> None:
    """A JSON line has the four fixed members and those given as `extra`, whatever their types."""
    stream = logging_to("json")
    log.info("landed %d", 3, extra={"workspace": "acme", "rows": 3, "where": {"tables": ("a", object)}, "big": 2**80})
    members = orjson.loads(stream.getvalue())
    assert (members["level"], members["logger"], members["message"]) == ("INFO", "fetch.fetcher", "landed 3")
    assert (members["workspace"], members["rows"], members["big"]) == ("acme", 3, str(2**80))
    assert members["where"]["tables"][0] == "a"
    assert members["time"].endswith("Z")
    assert "exception" not in members


def test_lines_below_the_level_are_left_out() -> None:
    """Records below the configured level are not written."""
    stream = logging_to(level=logging.WARNING)
    log.info("too quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_line_shows_a_key(style: Literal["text", "json"]) -> None:
    """Message, arguments, extra fields and traceback lose the key, in each of its written forms."""
    stream = logging_to(style)
    forms = [KEY, "k%2F5f2c%2B9e%20%22planted", "k%2f5f2c%2b9e%20%22planted", "k%2F5f2c%2B9e+%22planted"]
    error = RuntimeError(f"GET https://rest.example/?api_key={forms[1]}")
    log.error("%s and %s", KEY, forms, exc_info=error, extra={"url": forms[2], "nested": {KEY: [forms[3]]}})
    log.info("{%s}", orjson.dumps({"key": KEY}).decode())
    written = stream.getvalue()
    assert "RuntimeError" in written
    assert "***" in written
    assert "planted" not in written
    assert "5f2c" not in written


def test_a_format_that_does_not_match_its_arguments_is_written_without_the_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong log call is written as it is, without the key; the logging library does not print it."""
    stream = logging_to()
    log.warning("%d requests", KEY)
    assert "%d requests" in stream.getvalue()
    assert "planted" not in stream.getvalue() + capsys.readouterr().err


def test_records_of_libraries_lose_the_key_too() -> None:
    """Records of asyncio are written in the same way."""
    stream = logging_to()
    logging.getLogger("asyncio").error("Task exception was never retrieved: %s", KEY)
    assert "ERROR asyncio  Task exception was never retrieved: ***" in stream.getvalue()


def test_a_surrogate_is_written_as_a_question_mark() -> None:
    """File names and replies may hold surrogates, which no stream can encode; the line is still valid JSON."""
    stream = logging_to("json")
    log.info("a\udc80b")
    assert orjson.loads(stream.getvalue())["message"] == "a?b"


def test_configuring_again_replaces_the_stream() -> None:
    """Several runs in one process write each line once, to the newest stream only."""
    first, second = logging_to(), logging_to()
    log.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_a_closed_stream_is_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A record for a closed stream is dropped without an error."""
    logging_to().close()
    log.error("to no reader")
    assert capsys.readouterr() == ("", "")


def test_lines_are_redirected_from_one_stream_only() -> None:
    """Within the block, lines for that stream go to the given function; lines for another stream do not."""
    stream = logging_to()
    taken: list[str] = []
    with redirect_lines(stream, taken.append):
        log.info("above the bars")
        with redirect_lines(io.StringIO(), taken.append):
            log.info("and this")
    log.info("afterwards")
    assert [line.rpartition("  ")[2] for line in taken] == ["above the bars", "and this"]
    assert stream.getvalue().endswith("afterwards\n")
