"""An environment for each peer under `.bench/envs/`, made once, with the versions that its `.txt` pins."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from scripts.bench.machine import WORK

PEERS = Path(__file__).parent / "peers"


def ready(name: str) -> Path | None:
    """The interpreter that has what `peers/NAME.txt` pins; None, and a line that says so, where it can't be had."""
    folder, pins = WORK / "envs" / name, PEERS / f"{name}.txt"
    python, stamp = folder / "bin" / "python", folder / "pins.txt"
    if stamp.exists() and stamp.read_text() == pins.read_text():
        return python
    print(f"installing {pins.read_text().strip().replace(chr(10), ', ')} into .bench/envs/{name} …", flush=True)
    venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "install", "--requirement", str(pins)], check=False).returncode:
        print(f"left out: {name}, which could not be installed", flush=True)
        return None
    stamp.write_text(pins.read_text())
    return python


def own() -> Path:
    """The project's interpreter."""
    return Path(sys.executable)
