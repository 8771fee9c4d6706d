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
    """The nightly job on a lake there: exit code and what it says."""
    night = Night(folder, place.document(make_document("http://127.0.0.1:1", {"name": "acme"})))
    outcome = night.call("run")
    return outcome.exit_code, outcome.stderr


def s3_place(s3: Place, lake: str = "", **storage: object) -> Place:
    """SeaweedFS with something wrong."""
    return type(s3)(s3.name, lake or f"{s3.lake}/wrong", {**s3.storage, **storage}, s3.environ)


@pytest.fixture(autouse=True)
def _environment(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**s3.environ, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)


def test_wrong_credentials_are_told_and_not_shown(tmp_path: Path, s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the store refuses: exit 5, where, why and what to do, and neither key nor secret."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-and-wrong")
    code, said = run_there(tmp_path, s3_place(s3))
    assert code == 5, said
    for words in ("s3://lakes/wrong/_collector/acme", "403 SignatureDoesNotMatch", "credentials must be right"):
        assert words in said
    assert not any(secret in said for secret in ("planted-and-wrong", SECRET, KEY))


def test_no_credentials_at_all_are_told(tmp_path: Path, s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where AWS's own places hold none, the message names them; nothing is asked without a signature."""
    for name in s3.environ:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    code, said = run_there(tmp_path, s3_place(s3))
    assert code == 5, said
    assert "no credentials were found" in said
    assert "AWS_PROFILE" in said


def test_a_profile_is_used(tmp_path: Path, s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials come from the profile that the config or the environment names; one that is unknown is told."""
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


def test_a_bucket_that_is_not_there_is_told(tmp_path: Path, s3: Place) -> None:
    """A missing bucket is no empty lake: exit 5, and the message says so."""
    code, said = run_there(tmp_path, s3_place(s3, lake="s3://no-such-bucket/lake"))
    assert code == 5, said
    assert "s3://no-such-bucket/lake" in said
    assert "Make the bucket" in said


def test_a_store_that_does_not_answer_is_told(tmp_path: Path, s3: Place) -> None:
    """Nobody at the endpoint: after retry_seconds, exit 5 and the system's reason."""
    nobody = f"http://{HOST}:{free_ports(1)[0]}"
    code, said = run_there(tmp_path, s3_place(s3, endpoint=nobody, retry_seconds=0.2))
    assert code == 5, said
    assert "Connection refused" in said


def test_the_extra_that_is_missing_is_named(tmp_path: Path) -> None:
    """Without the library: exit 2, and how to install it; a lake in a folder needs none of it."""
    document = make_document("http://127.0.0.1:1", {"name": "acme", "scopes": ["app"]})
    for lake, expected in (("s3://bucket/lake", 2), ("./lake", 0)):
        night = Night(tmp_path / str(expected), {**document, "lake": lake})
        program = "import sys; sys.modules['obstore'] = None; from collector.cli.main import cli; cli()"
        command = [sys.executable, "-c", program, "--config", str(night.config), "plan"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == expected, result.stderr
        assert ("pip install 'braze-session-collector[objects]'" in result.stderr) == bool(expected)


def test_an_address_is_taken_apart() -> None:
    """Bucket, prefix, and the account of Azure's longer form; slashes too many count for nothing."""
    assert Address.of("s3://bucket/a//b/") == Address("s3", "bucket", "a/b", None)
    assert Address.of("gs://bucket") == Address("gs", "bucket", "", None)
    long = Address.of("abfs://container@acme.dfs.core.windows.net/lake")
    assert long == Address("abfs", "container", "lake", "acme")


def test_what_cannot_be_used_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Azure lake without an account, said nowhere: the message names the variable and the key of the config."""
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_USE_EMULATOR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LakeError, match=r"AZURE_STORAGE_ACCOUNT_NAME or storage\.account"):
        store_factory("abfs://container/lake", Storage())("acme").open("file")
