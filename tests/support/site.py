"""A stand-in for the API with a config and a lake that belong to it: the start of most tests of complete runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from collector.simulator.options import Options
from collector.simulator.server import running
from collector.simulator.simulation import Simulation
from tests.support.builders import NOW
from tests.support.night import Night, Row, make_document, truth
from tests.support.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNSERVED = "http://127.0.0.1:1"
"""The endpoint of a workspace until its stand-in is served."""


class Site:
    """A stand-in, and a config and lake that belong to it. A workspace needs nothing but a name.

    A workspace with an endpoint of its own keeps it; the others get the stand-in's.
    """

    def __init__(
        self, folder: Path, *workspaces: dict[str, Any], options: Options | None = None, **defaults: Any
    ) -> None:
        self.night = Night(folder, make_document(UNSERVED, *workspaces, **defaults))
        self.simulation = Simulation(self.night.settings().workspaces, options or Options(), now=NOW)

    @contextmanager
    def served(self) -> Iterator[Site]:
        """Serve the stand-in until the end of the block."""
        served = [each for each in self.night.document["workspaces"] if each["endpoint"] == UNSERVED]
        with running(self.simulation) as url:
            self._set_endpoint(served, url)
            yield self
        self._set_endpoint(served, UNSERVED)

    def truth(self, *names: str) -> set[Row]:
        """What the lake holds once it is complete: the rows of the named workspaces, or of all."""
        workspaces = [each for each in self.night.settings().workspaces if not names or each.name in names]
        return set().union(*(truth(self.simulation, each, self.simulation.now) for each in workspaces))

    def run(self, *arguments: str) -> Program:
        """Start the nightly job as a process, as of the stand-in's instant."""
        return self.call("run", "--json", "--as-of", self.simulation.now.isoformat(), *arguments)

    def call(self, *arguments: str, **environ: str) -> Program:
        """Start any command as a process, with the config and its keys."""
        return Program(["--config", str(self.night.config), *arguments], self.night, environ)

    def answered(self) -> int:
        """How many requests have been answered with 200 and a complete body."""
        return self.simulation.request_log.by_outcome["200"]

    def _set_endpoint(self, workspaces: list[dict[str, Any]], url: str) -> None:
        for workspace in workspaces:
            workspace["endpoint"] = url
        self.night.write()
