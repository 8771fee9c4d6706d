"""The lake that most tests of queries read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.query.nights import eight_nights

if TYPE_CHECKING:
    from tests.support.night import Night


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Eight nights of two workspaces; read-only."""
    return eight_nights(tmp_path_factory.mktemp("nights"))
