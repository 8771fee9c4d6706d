"""The lake that all engines read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.readers.lake import two_nights

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.night import Night


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Every table, two workspaces, two months."""
    return two_nights(tmp_path_factory.mktemp("readers"))


@pytest.fixture(scope="session")
def lake(landed: Night) -> Path:
    """Its folder."""
    return landed.lake
