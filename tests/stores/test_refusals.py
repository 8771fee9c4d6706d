from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from collector.config.settings import Storage
from collector.lake.clouds import Address
from collector.lake.store import LakeError
from collector.lake.stores import store_factory
from tests.stores.ports import HOST, free_ports
from tests.stores.seaweed import KEY, SECRET
from tests.support.night import Night, make_document

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.place import Place


def run_there(folder: Path, place: Place) -> tuple[int, str]:
    """A run on a lake there: its exit code and its messages."""
    night = Night(folder, place.document(make_document("http://127.0.0.1:1", {"name": "acme"})))
    outcome = night.call("run")
    return outcome.exit_code, outcome.stderr


def s3_place(s3: Place, lake: str = "", **storage: object) -> Place:
    """SeaweedFS with a wrong address or setting."""
    return type(s3)(s3.name, lake or f"{s3.lake}/wrong", {**s3.storage, **storage}, s3.environ)


@pytest.fixture(autouse=True)
def _environment(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**s3.environ, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)


def test_wrong_credentials_are_reported_not_shown(tmp_path: Path, s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the store rejects: exit 5, the address, the reason and what to do, and neither key nor secret."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-and-wrong")
    code, stderr = run_there(tmp_path, s3_place(s3))
    assert code == 5, stderr
    for words in (
        "s3://lakes/wrong/_collector/acme",
        "403 SignatureDoesNotMatch",
        "Check the credentials",
        "to list and read files",
    ):
        assert words in stderr
    assert not any(secret in stderr for secret in ("planted-and-wrong", SECRET, KEY))


def test_missing_credentials_are_reported(tmp_path: Path, s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials in any of AWS's usual places, the message names those; no unsigned request is sent."""
    for name in s3.environ:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    code, stderr = run_there(tmp_path, s3_place(s3))
    assert code == 5, stderr
    assert "no credentials were found" in stderr
    assert "AWS_PROFILE" in stderr


def test_a_profile_is_used(tmp_path: Path, s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials come from the profile that the config or the environment names; an unknown one is reported."""
    for name in s3.environ:
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text(f"[analytics]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert dict(s3_place(s3, profile="analytics").store().list("")) == {}
    monkeypatch.setenv("AWS_PROFILE", "analytics")
    assert dict(s3_place(s3).store().list("")) == {}
    with pytest.raises(LakeError, match="anlytics"):
        s3_place(s3, profile="anlytics").store().list("")


def test_a_missing_bucket_is_reported(tmp_path: Path, s3: Place) -> None:
    """A missing bucket is not an empty lake: exit 5, and the message says so."""
    code, stderr = run_there(tmp_path, s3_place(s3, lake="s3://no-such-bucket/lake"))
    assert code == 5, stderr
    assert "s3://no-such-bucket/lake" in stderr
    assert "Create the bucket" in stderr


def test_an_unreachable_store_is_reported(tmp_path: Path, s3: Place) -> None:
    """No server at the endpoint: after retry_seconds, exit 5 and the system's reason."""
    unused = f"http://{HOST}:{free_ports(1)[0]}"
    code, stderr = run_there(tmp_path, s3_place(s3, endpoint=unused, retry_seconds=0.2))
    assert code == 5, stderr
    assert "Connection refused" in stderr


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """Without obstore: exit 2, and how to install it; a lake in a folder does not need it."""
    document = make_document("http://127.0.0.1:1", {"name": "acme", "scopes": ["app"]})
    for lake, expected in (("s3://bucket/lake", 2), ("./lake", 0)):
        night = Night(tmp_path / str(expected), {**document, "lake": lake})
        program = "import sys; sys.modules['obstore'] = None; from collector.cli.main import cli; cli()"
        command = [sys.executable, "-c", program, "--config", str(night.config), "plan"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == expected, result.stderr
        assert ("pip install boto3 obstore" in result.stderr) == bool(expected)


def test_an_address_is_parsed() -> None:
    """Bucket, prefix, and the account of Azure's long form; extra slashes are ignored."""
    assert Address.of("s3://bucket/a//b/") == Address("s3", "bucket", "a/b", None)
    assert Address.of("gs://bucket") == Address("gs", "bucket", "", None)
    long = Address.of("abfs://container@acme.dfs.core.windows.net/lake")
    assert long == Address("abfs", "container", "lake", "acme")


def test_a_missing_account_is_reported_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Azure lake without an account: the message names the variable and the config's key."""
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_USE_EMULATOR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LakeError, match=r"AZURE_STORAGE_ACCOUNT_NAME or storage\.account"):
        store_factory("abfs://container/lake", Storage())("acme").open("file")
