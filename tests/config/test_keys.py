from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from collector.config.load import load
from collector.config.mistakes import ConfigError
from tests.config.builder import ENVIRON, KEY, config_of, make_config_text, make_workspace, mistakes_of


def keyed(file: str, **changes: Any) -> dict[str, Any]:
    return make_workspace(api_key=None, api_key_file=file, **changes)


def test_a_key_from_the_environment(tmp_path: Path) -> None:
    """With secrets, the key is the variable's value, and shows itself to no one."""
    config = config_of(tmp_path, make_config_text(), secrets=True)
    key = config.workspaces[0].api_key
    assert key is not None
    assert key.reveal() == KEY
    assert KEY not in f"{config} {config!r} {key} {key:>3}"


def test_a_key_from_a_file(tmp_path: Path) -> None:
    """A key file is relative to the config file, and its trailing newline is not part of the key."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "key").chmod(0o600)
    config = config_of(tmp_path, make_config_text(keyed("key")), {}, secrets=True)
    key = config.workspaces[0].api_key
    assert key is not None
    assert key.reveal() == KEY
    assert config.warnings == ()


def test_a_key_file_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    """Such a file is used, with a warning that says what to do."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o640)
    (warning,) = config_of(tmp_path, make_config_text(keyed("key")), {}, secrets=True).warnings
    assert warning.startswith(f"{tmp_path / 'c.yaml'}:")
    assert "workspaces[0].api_key_file: the key file is readable by other users" in warning


def test_analysts_need_no_key(tmp_path: Path) -> None:
    """Without secrets, nothing is read: unset variables and missing files are no mistakes, keys are None."""
    text = make_config_text(keyed("none"), make_workspace("globex", api_key="${NOT_SET}"))
    config = config_of(tmp_path, text, {})
    assert [workspace.api_key for workspace in config.workspaces] == [None, None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "the environment variable BRAZE_API_KEY_ACME is not set: export BRAZE_API_KEY_ACME=KEY"),
        ("", "the environment variable BRAZE_API_KEY_ACME is empty"),
        (f'"{KEY}"', "the key there has quotes around it"),
        (f"'{KEY}", "the key there has quotes around it"),
        (f"{KEY} ", "the key there contains a space, a line break or another invalid character"),
        (f"{KEY}\n", "the key there contains a space"),
        (f"{KEY}é", "the key there contains a space"),
        (f"“{KEY}”", "the key there has quotes around it"),
        (KEY * 300, "the key there is longer than"),
    ],
    ids=lambda value: (str(value) or "empty")[:10],
)
def test_keys_that_braze_would_refuse(tmp_path: Path, value: str | None, expected: str) -> None:
    """A key that is unset, empty, quoted or padded is a mistake where it is referred to, and never shown."""
    environ = {} if value is None else {"BRAZE_API_KEY_ACME": value}
    (found,) = mistakes_of(tmp_path, make_config_text(), environ, secrets=True)
    assert found.startswith(f"5: workspaces[0].api_key: {expected}")
    assert KEY not in found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "the file cannot be read (No such file or directory)"),
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"\xff", "the file cannot be read (not text)"),
        (f"{KEY}\n{KEY}\n".encode(), "the key there contains a space, a line break"),
        (b"k" * 10_000, "the key there is longer than"),
    ],
    ids=lambda value: str(value)[:10],
)
def test_key_files_that_hold_no_key(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """A key file that is missing, empty, binary or holds more than a key is a mistake."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
        (tmp_path / "key").chmod(0o600)
    (found,) = mistakes_of(tmp_path, make_config_text(keyed("key")), {}, secrets=True)
    assert f"workspaces[0].api_key_file: {expected}" in found
    assert KEY not in found


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device", "a socket"])
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    """A key file or a config that is a pipe, folder, device or socket is named as that; nothing is waited for."""
    special = {"a pipe": tmp_path / "pipe", "a folder": tmp_path, "a device": Path("/dev/zero")}.get(kind)
    if special is None:
        special = tmp_path / "socket"
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(special))
    elif kind == "a pipe":
        os.mkfifo(special)
    link = tmp_path / "link"
    link.symlink_to(special)
    for named in (special, link):
        (found,) = mistakes_of(tmp_path, make_config_text(keyed(str(named))), {}, secrets=True)
        assert f"workspaces[0].api_key_file: the file is {kind}, not a regular file: write the path of a file" in found
        with pytest.raises(ConfigError, match=f"is {kind}, not a regular file: name another file"):
            load(named, {}, secrets=False)


def test_a_key_written_in_place_of_its_file_is_not_shown(tmp_path: Path) -> None:
    """The message about a key file that cannot be read does not repeat its name."""
    assert KEY not in "".join(mistakes_of(tmp_path, make_config_text(keyed(KEY)), {}, secrets=True))


@pytest.mark.parametrize(
    "literal",
    [KEY, "$BRAZE", "${A}x", "${A} ", "${}", "${1A}", "${A-B}", "{{A}}", 12345, True, [KEY], {KEY: 1}, "", "${A}\n"],
    ids=str,
)
@pytest.mark.parametrize("secrets", [False, True])
def test_a_literal_key_is_refused_unseen(tmp_path: Path, literal: object, secrets: bool) -> None:
    """Anything but ${NAME} is refused in the same words, with or without secrets, and never shown."""
    (found,) = mistakes_of(tmp_path, make_config_text(make_workspace(api_key=literal)), secrets=secrets)
    assert "api_key: is not a reference" in found
    assert KEY not in found


@pytest.mark.parametrize(
    "text",
    [
        f"lake: x\nworkspaces:\n  - api_key: {KEY}\n   name: x\n",
        f"lake: x\nworkspaces:\n  - api_key: '{KEY}\n",
        f"lake: x\nworkspaces:\n  - api_key: *{KEY}\n",
        f"lake: x\nworkspaces:\n  - api_key: !{KEY} x\n",
        f"lake: x\nworkspaces:\n  - api_key: |{KEY}\n",
        f"lake: x\nworkspaces:\n  - {{name: a, api_key: {KEY}, api_key: {KEY}, api_key_file: [{KEY}]}}\n",
        f"lake: x\nworkspaces:\n  - {{name: a, apikey: {KEY}, key: {KEY}, token: {KEY}}}\n",
        f"lake: x\napi_key: {KEY}\nworkspaces:\n  - {{name: a, endpoint: 'https://x:{KEY}@host'}}\n",
        f"lake: x\nworkspaces:\n  - {{name: a, endpoint: 'https://host/?api_key={KEY}'}}\n",
        f"lake: x\nworkspaces:\n  - {{name: a, endpoint: 'host/?api_key={KEY}'}}\n",
    ],
)
def test_no_message_shows_a_key(tmp_path: Path, text: str) -> None:
    """However the key was written into the file, no message repeats it."""
    assert KEY not in "".join(mistakes_of(tmp_path, text, secrets=True))


def test_both_or_neither_key(tmp_path: Path) -> None:
    """A workspace names its key in exactly one way."""
    both, neither = make_workspace(api_key_file="key"), make_workspace("globex", api_key=None)
    found = mistakes_of(tmp_path, make_config_text(both, neither))
    assert [line.partition(": ")[2] for line in found] == [
        "workspaces[0].api_key_file: is written beside api_key: remove one of the two",
        "workspaces[1].api_key: is missing: write `api_key: ${NAME_OF_VARIABLE}`, or `api_key_file: FILE`",
    ]


@pytest.mark.parametrize("secrets", [False, True])
def test_one_reference_under_two_names(tmp_path: Path, secrets: bool) -> None:
    """One variable at one host under two names is one quota: a mistake, even without reading it."""
    second = make_workspace("globex", api_key="${BRAZE_API_KEY_ACME}", endpoint="https://REST.iad-01.braze.com/")
    (found,) = mistakes_of(tmp_path, make_config_text(make_workspace(), second), {}, secrets=False)
    assert "workspaces[1].api_key: same key and endpoint as acme in line 3, which is one quota" in found
    (again,) = mistakes_of(tmp_path, make_config_text(make_workspace(), second), secrets=secrets)
    assert again == found


def test_one_key_under_two_names(tmp_path: Path) -> None:
    """One key at one host under two names is a mistake, wherever each of them finds it."""
    (tmp_path / "key").write_text(KEY)
    second = make_workspace("globex", api_key=None, api_key_file="key")
    text = make_config_text(make_workspace(), second)
    (found,) = mistakes_of(tmp_path, text, secrets=True)
    assert "workspaces[1].api_key_file: same key and endpoint as acme" in found
    config_of(tmp_path, text)  # without secrets it cannot be known


def test_one_key_at_two_hosts_is_fine(tmp_path: Path) -> None:
    """The same key at another host has another quota."""
    second = make_workspace("globex", api_key="${BRAZE_API_KEY_ACME}", endpoint="https://rest.iad-02.braze.com")
    config_of(tmp_path, make_config_text(make_workspace(), second), ENVIRON, secrets=True)
