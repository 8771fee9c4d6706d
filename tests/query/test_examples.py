from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.query.examples import Example, examples, excerpt, session

if TYPE_CHECKING:
    from tests.support.night import Night


def test_there_are_twelve_examples() -> None:
    """docs/queries.md asks twelve questions, each with a sentence of what its answer tells."""
    assert len(examples()) == 12
    assert all(example.prose.endswith(".") for example in examples())


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.title)
def test_an_example_answers_as_the_page_says(night: Night, example: Example) -> None:
    """Each query of docs/queries.md runs, and gives the excerpt below it (`python -m tests.query.examples` renews)."""
    with session(night) as opened:
        assert excerpt(opened, example.sql) == example.said
