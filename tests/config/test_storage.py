from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collector.config.settings import Storage
from tests.config.builder import config_of, make_config_text, mistakes_of

if TYPE_CHECKING:
    from pathlib import Path


def said(folder: Path, lake: str, **storage: Any) -> str:
    """The mistakes of a config with that lake and storage."""
    return "\n".join(mistakes_of(folder, make_config_text(lake=lake, storage=storage)))


def test_what_is_left_out_is_the_cloud_s_own(tmp_path: Path) -> None:
    """Without `storage` nothing is set but the limits; what it says arrives as it was written."""
    assert config_of(tmp_path, make_config_text(lake="s3://bucket/lake")).storage == Storage()
    text = make_config_text(lake="s3://b/l", storage={"endpoint": "https://minio.example.com:9000/", "profile": "x"})
    assert config_of(tmp_path, text).storage == Storage(endpoint="https://minio.example.com:9000", profile="x")


@pytest.mark.parametrize(
    "key", ["access_key_id", "aws_secret_access_key", "account_key", "sas_token", "password", "service_account_key"]
)
def test_credentials_are_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    """A key that is for a secret: where it belongs instead, and nothing of the secret."""
    text = said(tmp_path, "s3://bucket/lake", **{key: "planted-4711"})
    assert f"storage.{key}: a credential does not belong here" in text
    assert "planted-4711" not in text


@pytest.mark.parametrize("url", ["https://user:planted-4711@host", "https://host/?sig=planted-4711"])
def test_an_endpoint_holds_no_secret(tmp_path: Path, url: str) -> None:
    """Neither user nor password nor query, and the message shows neither."""
    text = said(tmp_path, "s3://bucket/lake", endpoint=url)
    assert "contains more than host, port and path" in text
    assert "planted-4711" not in text


@pytest.mark.parametrize(
    ("lake", "storage", "expected"),
    [
        ("./lake", {"region": "x"}, "storage: is for a lake in an object store"),
        ("gs://bucket", {"region": "x"}, "storage.region: is for lakes in s3://, and this lake is in gs://"),
        ("s3://bucket", {"account": "x"}, "storage.account: is for lakes in abfs://"),
        ("s3://bucket", {"region": "${AWS_REGION}"}, "storage.region: contains ${…}, which only api_key may"),
        ("s3://bucket", {"endpoint": "http://minio.local:9000"}, "would send rows unencrypted to minio.local"),
        ("s3://bucket", {"endpoint": "minio.local:9000"}, "storage.endpoint: is not a URL with a host"),
        ("s3://bucket", {"retry_seconds": 600}, "storage.retry_seconds: is 600, which is out of range"),
        ("s3://bucket", {"regoin": "x"}, "storage.regoin: unknown key: write region"),
    ],
)
def test_each_mistake_says_what_to_write(tmp_path: Path, lake: str, storage: dict[str, Any], expected: str) -> None:
    """What goes with another kind of lake, references, unencrypted servers, and what is misspelt."""
    assert expected in said(tmp_path, lake, **storage)


def test_keys_of_storage_are_sent_there(tmp_path: Path) -> None:
    """A region at the top of the file: the mistake says where it belongs."""
    assert "region: does not belong here: write it under storage" in "\n".join(
        mistakes_of(tmp_path, make_config_text(lake="s3://bucket", region="x"))
    )
