"""The lake that most tests of the reading side read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.query.nights import eight_nights

if TYPE_CHECKING:
    from tests.support.night import Night


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Eight nights of two workspaces; nobody writes to it."""
    return eight_nights(tmp_path_factory.mktemp("nights"))
