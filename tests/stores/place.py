"""Places where a lake may lie: what a config says of them, and what their environment must hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from collector.config.settings import Storage
from collector.lake.stores import store_factory

if TYPE_CHECKING:
    from collector.lake.store import Store


@dataclass(frozen=True)
class Place:
    """A place. `lake` is the prefix for a new lake; `compares` tells whether puts there may hang on what is there."""

    name: str
    lake: str
    storage: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def at(self, prefix: str) -> Place:
        """A lake of its own in the same place."""
        return Place(self.name, f"{self.lake}/{prefix}", self.storage, self.environ)

    def store(self, workspace: str = "acme") -> Store:
        """A store as a new run makes it; the environment must hold what it needs."""
        return store_factory(self.lake, Storage(**self.storage))(workspace)

    def document(self, document: dict[str, Any]) -> dict[str, Any]:
        """A config whose lake lies here."""
        return {**document, "lake": self.lake, **({"storage": self.storage} if self.storage else {})}
