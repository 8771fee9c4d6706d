from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collector.config.fields import example_of, known_keys
from collector.config.schema import schema
from collector.model import Scope, Unit
from tests.config.builder import config_of, make_config_text, make_workspace, mistakes_of

ROOT = Path(__file__).parents[2]
SCHEMA = schema()
PLACES = {
    "FileModel": (),
    "StorageModel": ("storage",),
    "LimitsModel": ("limits",),
    "SettingsModel": ("defaults",),
    "WorkspaceModel": ("workspaces", 0),
    "AppModel": ("workspaces", 0, "apps", 0),
    "SegmentModel": ("workspaces", 0, "segments", 0),
    "LookbackModel": ("defaults", "lookback"),
    "RateLimitModel": ("defaults", "rate_limit"),
    "RetryModel": ("defaults", "retry"),
}
MAPPINGS: dict[str, Any] = {"FileModel": SCHEMA} | {
    name: part for name, part in SCHEMA["$defs"].items() if part["type"] == "object"
}
KEYS = [(name, key) for name, part in MAPPINGS.items() for key in part["properties"]]


def test_it_is_plain_json() -> None:
    """The schema can be written as JSON and says which dialect it is."""
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"].startswith("https://json-schema.org/")


def test_every_mapping_is_described_and_closed() -> None:
    """Each mapping that the loader knows is in the schema with the same keys, and no others are allowed."""
    assert set(MAPPINGS) == set(PLACES)
    for name, part in MAPPINGS.items():
        assert tuple(part["properties"]) == known_keys(PLACES[name])
        assert part["additionalProperties"] is False
    assert SCHEMA["patternProperties"] == {"^x-": {}}


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_every_key_is_described(name: str, key: str) -> None:
    """Each key has a meaning, an example and no title made of its name; the loader accepts the example."""
    entry = MAPPINGS[name]["properties"][key]
    assert entry["description"].endswith(".")
    assert entry["examples"]
    assert "title" not in entry
    assert entry.get("default", "") is not None
    assert example_of((*PLACES[name], key))


def test_required_keys() -> None:
    """What the schema requires is what the loader misses."""
    required = {name: part.get("required", []) for name, part in MAPPINGS.items()}
    assert {name: keys for name, keys in required.items() if keys} == {
        "FileModel": ["lake", "workspaces"],
        "WorkspaceModel": ["name", "endpoint"],
        "AppModel": ["name", "id"],
        "SegmentModel": ["name", "id"],
    }


def test_enums() -> None:
    """The words that are allowed in a list are the model's."""
    assert SCHEMA["$defs"]["Unit"]["enum"] == list(Unit)
    assert SCHEMA["$defs"]["Scope"]["enum"] == list(Scope)


def test_every_example_is_accepted(tmp_path: Path) -> None:
    """The examples of all settings together make a valid file."""
    settings = {key: entry["examples"][0] for key, entry in MAPPINGS["SettingsModel"]["properties"].items()}
    config_of(tmp_path, make_config_text(make_workspace(**settings), defaults=settings))


def test_every_default_is_what_the_loader_fills_in(tmp_path: Path) -> None:
    """Writing out each default of the schema changes nothing."""

    def defaults(name: str) -> dict[str, Any]:
        return {key: entry["default"] for key, entry in MAPPINGS[name]["properties"].items() if "default" in entry}

    nested = {"lookback": "LookbackModel", "rate_limit": "RateLimitModel", "retry": "RetryModel"}
    settings = json.loads(json.dumps(defaults("SettingsModel") | {key: defaults(name) for key, name in nested.items()}))
    own = make_workspace(timezone=MAPPINGS["WorkspaceModel"]["properties"]["timezone"]["default"])
    assert config_of(tmp_path, make_config_text(own, defaults=settings)) == config_of(tmp_path, make_config_text())


def test_the_shipped_files_use_known_keys_only() -> None:
    """The example holds every key of the file somewhere, in use or commented out."""
    text = (ROOT / "config/collector.yaml").read_text()
    assert {key for _, key in KEYS if f"{key}:" not in text} == set()


def test_an_unknown_key_is_refused_by_both(tmp_path: Path) -> None:
    """A key that the schema lacks is a mistake to the loader in every mapping."""
    assert len(mistakes_of(tmp_path, make_config_text(make_workspace(xyzzy=1), xyzzy=1, defaults={"xyzzy": 1}))) == 3


def test_settings_are_cheap_to_import() -> None:
    """The values that all modules share are imported without pydantic and YAML, so `--help` is quick."""
    code = (
        "import sys, collector.config.settings, collector.config.values, collector.config.mistakes;"
        "sys.exit(bool({'pydantic', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
