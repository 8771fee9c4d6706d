"""Azurite, Microsoft's emulator of Azure's blob storage, which checks signatures and supports conditional puts."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow.fs import AzureFileSystem

from tests.stores.place import Place
from tests.stores.ports import HOST, free_ports, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT, KEY = (
    "lakesaccount",
    base64.b64encode(b"a planted key of sixty-four bytes that opens nothing at all.....").decode(),
)
CONTAINER = "lakes"
FOLDER = Path(sys.prefix) / "azurite"
ABSENT = "Azurite is not installed: scripts/test-servers.sh installs it, if node and npm are installed"


def program() -> str | None:
    """The program's path, if it is installed."""
    return shutil.which("azurite-blob", path=str(FOLDER / "node_modules/.bin")) or shutil.which("azurite-blob")


@contextmanager
def azurite(folder: Path) -> Iterator[Place]:
    """Serve an empty container."""
    command = program()
    assert command, ABSENT
    port = free_ports(1)[0]
    url = f"http://{HOST}:{port}"
    options = ["--disableTelemetry", "--silent", "--inMemoryPersistence", "--skipApiVersionCheck"]
    environ = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    with serving([command, *options, "--blobHost", HOST, "--blobPort", str(port)], folder, url, environ):
        AzureFileSystem(
            ACCOUNT, account_key=KEY, blob_storage_authority=f"{HOST}:{port}", blob_storage_scheme="http"
        ).create_dir(CONTAINER)
        storage = {"endpoint": f"{url}/{ACCOUNT}", "account": ACCOUNT}
        yield Place("azurite", f"abfs://{CONTAINER}", storage, {"AZURE_STORAGE_ACCOUNT_KEY": KEY})
