import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config.values import MAX_DURATION, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("90s", 90), ("10m", 600), ("6h", 21600), ("1d", 86400), ("1h30m", 5400), ("1d1s", 86401)],
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    """Days, hours, minutes and seconds add up, and 0 needs no unit."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "h", "1.5h", "-1h", "1h 30m", "30m1h", "1w", "10M", "\u0661h", "1h\n", "10:30"]
)
def test_a_guess_is_refused(text: str) -> None:
    """Anything else is refused, with an example of a duration."""
    with pytest.raises(ValueError, match="write 10m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3661d", "999999999d999999999h"])
def test_an_endless_duration_is_refused(text: str) -> None:
    """A duration that would overflow dates is refused."""
    with pytest.raises(ValueError, match="too long"):
        parse_duration(text)


@given(st.text())
def test_any_text_is_a_duration_or_a_sentence(text: str) -> None:
    """No text raises anything but ValueError, or gives a span below zero or above the longest."""
    with contextlib.suppress(ValueError):
        assert timedelta() <= parse_duration(text) <= MAX_DURATION
