"""The lake that every engine reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.readers.lake import two_nights

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.night import Night


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A lake with rows in every table, of two workspaces and two months, below folders that look like partitions."""
    return two_nights(tmp_path_factory.mktemp("readers") / "workspace=prod" / "date=2026" / "month=2020-01-01")


@pytest.fixture(scope="session")
def lake(landed: Night) -> Path:
    """The folder of that lake."""
    return landed.lake
