"""The places in which the same tests run. One server of each kind serves all tests of a process."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.stores import azurite, google, seaweed
from tests.stores.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder."""
    return Place("folder", str(tmp_path_factory.mktemp("lakes")))


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """SeaweedFS."""
    if not seaweed.program():
        pytest.skip(seaweed.ABSENT)
    with seaweed.seaweed(tmp_path_factory.mktemp("seaweed")) as place:
        yield place


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Azurite."""
    if not azurite.program():
        pytest.skip(azurite.ABSENT)
    with azurite.azurite(tmp_path_factory.mktemp("azurite")) as place:
        yield place


@pytest.fixture(scope="session")
def gcs() -> Iterator[Place]:
    """A stand-in for Google's."""
    with google.google() as place:
        yield place


BUCKETS = ["s3", *(pytest.param(name, marks=pytest.mark.lakes) for name in ("azure", "gcs"))]
"""SeaweedFS runs in `make test`; `make test-lakes` adds the others."""


@pytest.fixture(params=["local", *BUCKETS])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Each place in turn: a new lake, with the environment set."""
    found: Place = request.getfixturevalue(request.param)
    return _set(found, monkeypatch)


@pytest.fixture(params=BUCKETS)
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Each object store in turn."""
    found: Place = request.getfixturevalue(request.param)
    return _set(found, monkeypatch)


def _set(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)
    return place.at(uuid.uuid4().hex[:8])
