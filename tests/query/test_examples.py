from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.query.examples import Example, examples, excerpt, session

if TYPE_CHECKING:
    from tests.support.night import Night


def test_each_example_says_what_its_result_is() -> None:
    """docs/queries.md has sixteen examples, each with a sentence about its result."""
    assert len(examples()) == 16
    assert all(example.prose.endswith(".") for example in examples())


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.title)
def test_an_example_gives_the_result_on_the_page(night: Night, example: Example) -> None:
    """Each query of docs/queries.md gives the excerpt below it (`python -m tests.query.examples` writes them again)."""
    with session(night) as opened:
        assert excerpt(opened, example.sql) == example.excerpt
