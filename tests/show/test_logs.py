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
log = logging.getLogger("collector.fetch.lane")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    names = ("collector", "asyncio", "aiohttp")
    kept = [(logging.getLogger(name), list(logging.getLogger(name).handlers)) for name in names]
    level = logging.getLogger("collector").level
    yield
    for logger, handlers in kept:
        logger.handlers[:] = handlers
    logging.getLogger("collector").setLevel(level)
    logging.getLogger("collector").propagate = True


def logging_to(style: Literal["text", "json"] = "text", level: int = logging.INFO) -> io.StringIO:
    # pytest's own handler refuses records that do not fit their arguments, and cannot pass on halves of characters.
    logging.getLogger("collector").propagate = False
    stream = io.StringIO()
    configure(level, style, [Secret(KEY)], stream)
    return stream


def test_a_line_has_the_time_the_level_the_place_and_the_message() -> None:
    """A text line is UTC time with milliseconds, level, logger without the package, message."""
    stream = logging_to()
    log.warning("paused for %d s", 12)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING fetch\.lane  paused for 12 s\n", stream.getvalue()
    )


def test_a_json_line_is_one_object_with_its_extra_fields() -> None:
    """JSON lines parse, hold the four fixed members and those given as `extra`, whatever their type."""
    stream = logging_to("json")
    log.info("landed %d", 3, extra={"workspace": "acme", "rows": 3, "where": {"tables": ("a", object)}, "big": 2**80})
    told = orjson.loads(stream.getvalue())
    assert (told["level"], told["logger"], told["message"]) == ("INFO", "fetch.lane", "landed 3")
    assert (told["workspace"], told["rows"], told["big"]) == ("acme", 3, str(2**80))
    assert told["where"]["tables"][0] == "a"
    assert told["time"].endswith("Z")
    assert "exception" not in told


def test_lines_below_the_level_are_left_out() -> None:
    """The level named is the lowest that is written."""
    stream = logging_to(level=logging.WARNING)
    log.info("too quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_line_shows_a_key(style: Literal["text", "json"]) -> None:
    """Message, arguments, extra fields and traceback lose the key in each form in which it may stand."""
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


def test_a_message_that_does_not_fit_its_arguments_is_written_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistaken log call is written as it stands, without the key, and not shown by the library unclean."""
    stream = logging_to()
    log.warning("%d requests", KEY)
    assert "%d requests" in stream.getvalue()
    assert "planted" not in stream.getvalue() + capsys.readouterr().err


def test_what_others_say_about_this_program_loses_the_key_too() -> None:
    """The event loop's own complaints go the same way."""
    stream = logging_to()
    logging.getLogger("asyncio").error("Task exception was never retrieved: %s", KEY)
    assert "ERROR asyncio  Task exception was never retrieved: ***" in stream.getvalue()


def test_half_a_character_is_written_as_a_question_mark() -> None:
    """File names and replies may hold surrogates that no stream takes; JSON stays JSON."""
    stream = logging_to("json")
    log.info("a\udc80b")
    assert orjson.loads(stream.getvalue())["message"] == "a?b"


def test_configuring_again_replaces_the_stream() -> None:
    """Many runs in one process write each line once, and to the newest stream alone."""
    first, second = logging_to(), logging_to()
    log.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_a_closed_stream_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody reads the log any more, the run goes on in silence."""
    logging_to().close()
    log.error("to nobody")
    assert capsys.readouterr() == ("", "")


def test_lines_are_diverted_from_one_stream_alone() -> None:
    """What is drawn on a stream gets the lines meant for it, and only while it is drawn."""
    stream = logging_to()
    taken: list[str] = []
    with redirect_lines(stream, taken.append):
        log.info("above the bars")
        with redirect_lines(io.StringIO(), taken.append):
            log.info("and this")
    log.info("afterwards")
    assert [line.rpartition("  ")[2] for line in taken] == ["above the bars", "and this"]
    assert stream.getvalue().endswith("afterwards\n")
