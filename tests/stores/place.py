"""The places where a lake can be: their part of the config, and their environment variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from collector.config.settings import Storage
from collector.lake.stores import store_factory

if TYPE_CHECKING:
    from collector.lake.store import Store


@dataclass(frozen=True)
class Place:
    """A folder or an object store. `lake`: the address of a lake; `storage`: that part of the config."""

    name: str
    lake: str
    storage: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def at(self, prefix: str) -> Place:
        """Another lake in the same place."""
        return Place(self.name, f"{self.lake}/{prefix}", self.storage, self.environ)

    def store(self, workspace: str = "acme") -> Store:
        """A store as a new run makes it, with `environ` set."""
        return store_factory(self.lake, Storage(**self.storage))(workspace)

    def document(self, document: dict[str, Any]) -> dict[str, Any]:
        """The config with this lake."""
        return {**document, "lake": self.lake, **({"storage": self.storage} if self.storage else {})}
