"""Config files to try: a valid one by default, any part of it replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from collector.config.load import load
from collector.config.mistakes import ConfigError, Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from collector.config.settings import Config

KEY = "k-5f2c9e71-planted"
"""What the environment holds; no message may show it."""

ENVIRON = {"BRAZE_API_KEY_ACME": KEY, "BRAZE_API_KEY_GLOBEX": "k-77-another-planted"}


def make_workspace(name: str = "acme", **changes: Any) -> dict[str, Any]:
    """A valid workspace with two apps and a segment; a change of None takes the key away."""
    workspace: dict[str, Any] = {
        "name": name,
        "endpoint": "https://rest.iad-01.braze.com",
        "api_key": "${BRAZE_API_KEY_GLOBEX}" if name == "globex" else "${BRAZE_API_KEY_ACME}",
        "apps": [{"name": "ios", "id": "id-ios"}, {"name": "android", "id": "id-android"}],
        "segments": [{"name": "vip", "id": "id-vip"}],
    } | changes
    return {key: value for key, value in workspace.items() if value is not None}


def make_config(*workspaces: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A valid file as plain data."""
    config: dict[str, Any] = {"lake": "./lake", "workspaces": list(workspaces) or [make_workspace()]} | changes
    return {key: value for key, value in config.items() if value is not None}


def make_config_text(*workspaces: dict[str, Any], **changes: Any) -> str:
    """A valid file as YAML."""
    return yaml.safe_dump(make_config(*workspaces, **changes), sort_keys=False, allow_unicode=True)


def read(
    folder: Path, text: str | bytes, environ: Mapping[str, str] = ENVIRON, *, secrets: bool = False
) -> Config | tuple[Mistake, ...]:
    """Load the text as a file: the Config, or the mistakes."""
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        return load(path, environ, secrets=secrets)
    except ConfigError as error:
        return error.mistakes


def config_of(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON, *, secrets: bool = False) -> Config:
    """The Config of a text that has no mistake."""
    found = read(folder, text, environ, secrets=secrets)
    assert not isinstance(found, tuple), "\n".join(map(str, found))
    return found


def mistakes_of(
    folder: Path, text: str | bytes, environ: Mapping[str, str] = ENVIRON, *, secrets: bool = False
) -> list[str]:
    """The mistakes of a text as `LINE: key.path: sentence`."""
    found = read(folder, text, environ, secrets=secrets)
    assert isinstance(found, tuple), "no mistake was found"
    return [str(mistake).removeprefix(f"{folder / 'c.yaml'}:") for mistake in found]
