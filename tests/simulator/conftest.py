"""Simulations and a plain HTTP client for the tests of the simulator."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

KEY = "simulated-acme"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def rows(self) -> list[tuple[str, int]]:
        return [(point["time"], point["sessions"]) for point in self.json["data"]]


class Client:
    """Asks a server for things, as any client would."""

    def request(self, url: str, path: str, method: str = "GET", key: str | None = KEY, /, **query: object) -> Answer:
        text = urllib.parse.urlencode({name: str(value) for name, value in query.items()})
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        request = urllib.request.Request(f"{url}{path}?{text}", headers=headers, method=method)  # noqa: S310 - http on this machine
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
                return Answer(answer.status, _lower(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _lower(error.headers.items()), error.read())

    def series(self, url: str, key: str | None = KEY, /, **query: object) -> Answer:
        return self.request(url, "/sessions/data_series", "GET", key, **query)


def _lower(items: Any) -> dict[str, str]:
    return {name.lower(): text for name, text in items}


@pytest.fixture
def client() -> Client:
    return Client()
