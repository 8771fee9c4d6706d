"""The wheel holds the complete program, and works where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from collector import __version__

ROOT = Path(__file__).resolve().parent.parent
NAME = f"braze_session_collector-{__version__}"
INFO = f"{NAME}.dist-info"
INSTALL = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
CONFIG = """
lake: ./lake
workspaces:
  - name: acme
    endpoint: https://rest.iad-01.braze.com
    api_key: ${BRAZE_API_KEY_ACME}
    apps:
      - {name: ios, id: 3bbc4555-8fa0-4c9b-a5c0-4505edf3e064}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the backend that is installed here. `make wheel` has pip download the same version of it."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    return folder / f"{NAME}-py3-none-any.whl"


def test_the_wheel_has_every_module_the_license_and_the_metadata(wheel: Path) -> None:
    """All of collector/ is in the wheel and nothing else is, beside metadata that says who may do what with it."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.startswith(f"{INFO}/")}
        metadata = message_from_bytes(archive.read(f"{INFO}/METADATA"))
        scripts = archive.read(f"{INFO}/entry_points.txt").decode()
        assert archive.read(f"{INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "collector").rglob("*.py")}
    assert packed == modules | {"collector/py.typed", "collector/config/example.yaml"}
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "collector = collector.__main__:main" in scripts


def test_an_installed_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """`python -m collector` and the command work from any folder, with no file of the checkout on the path."""
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "collector.yaml").write_text(CONFIG)
    subprocess.run([*INSTALL, "--no-compile", "--target", str(installed), str(wheel)], check=True)

    # With -S no .pth file is read. Such a file is how an editable install adds the checkout to the path.
    python = (sys.executable, "-S")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(installed), sysconfig.get_paths()["purelib"]]),
        "BRAZE_API_KEY_ACME": "00000000-0000-4000-8000-000000000000",
    }

    def output(*command: str) -> str:
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    where = output(*python, "-c", "import collector, sys; print(collector.__file__, *sys.path, sep=chr(10))")
    module, *path = where.splitlines()
    assert module == str(installed / "collector" / "__init__.py")
    assert str(ROOT) not in path
    assert __version__ in output(*python, "-m", "collector", "--version")
    assert __version__ in output(*python, str(installed / "bin" / "collector"), "--version")
    assert str(elsewhere / "lake") in output(*python, "-m", "collector", "--config", "collector.yaml", "validate")
    assert "wrote first.yaml" in output(*python, "-m", "collector", "--config", "first.yaml", "init")
    assert (elsewhere / "first.yaml").read_text() == (ROOT / "config/collector.yaml").read_text().replace(
        "../lake", "./lake"
    )
