from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collector.config.load import load
from collector.config.mistakes import ConfigError
from collector.config.settings import App, Auth, NaiveHours, RateLimit, Retry, Segment
from collector.model import Scope, Unit
from tests.config.builder import config_of, make_config_text, make_workspace, mistakes_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["collector.yaml", "demo.yaml"])
def test_the_shipped_files_are_valid(name: str) -> None:
    """The shipped files are valid as they are, without any key."""
    config = load(ROOT / "config" / name, {}, secrets=False)
    assert all(workspace.api_key is None for workspace in config.workspaces)


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    """The values under defaults in the example are the defaults, except for `start`."""
    text = (ROOT / "config/collector.yaml").read_text()
    head, _, rest = text.partition("defaults:")
    bare = head + rest[rest.index("workspaces:") :]
    full = config_of(tmp_path, text.replace("  start: 2026-10-01", "  # none"))
    assert full == config_of(tmp_path, bare)


def test_defaults_are_built_in(tmp_path: Path) -> None:
    """A workspace that sets nothing has the documented defaults."""
    workspace = config_of(tmp_path, make_config_text()).workspaces[0]
    assert workspace.units == (Unit.DAY, Unit.HOUR)
    assert workspace.scopes == (Scope.APP, Scope.APP_SEGMENT)
    assert workspace.lookback == {Unit.DAY: 14, Unit.HOUR: 336}
    assert (workspace.settle, workspace.refresh_after) == (timedelta(minutes=10), timedelta(hours=6))
    assert (workspace.rate_limit, workspace.retry) == (RateLimit(250_000, 0.2, 100), Retry(6, 0.5, 60))
    assert (workspace.concurrency, workspace.timeout_seconds) == (32, 30)
    assert (workspace.auth, workspace.naive_hours) == (Auth.HEADER, NaiveHours.UTC)
    assert (workspace.start, workspace.end, workspace.timezone) == (None, None, ZoneInfo("UTC"))


def test_every_setting_is_read(tmp_path: Path) -> None:
    """Each key of the file arrives in the Config under its own name."""
    settings: dict[str, Any] = {
        "units": ["hour"], "scopes": ["workspace", "app"], "start": "2026-10-01", "end": "2027-01-31",
        "lookback": {"day": 3, "hour": 0}, "settle": "1h30m", "refresh_after": 0, "concurrency": 7,
        "rate_limit": {"per_hour": 10, "reserve": 0, "per_second": 2.5}, "timeout_seconds": 1.5,
        "retry": {"attempts": 1, "base_seconds": 1, "max_seconds": 1}, "auth": "query", "naive_hours": "workspace",
        "timezone": "Asia/Tokyo",
    }  # fmt: skip
    workspace = config_of(tmp_path, make_config_text(make_workspace(**settings))).workspaces[0]
    assert (workspace.units, workspace.scopes) == ((Unit.HOUR,), (Scope.WORKSPACE, Scope.APP))
    assert (workspace.start, workspace.end) == (date(2026, 10, 1), date(2027, 1, 31))
    assert workspace.lookback == {Unit.DAY: 3, Unit.HOUR: 0}
    assert (workspace.settle, workspace.refresh_after) == (timedelta(hours=1, minutes=30), timedelta())
    assert (workspace.rate_limit, workspace.retry) == (RateLimit(10, 0, 2.5), Retry(1, 1, 1))
    assert (workspace.concurrency, workspace.timeout_seconds) == (7, 1.5)
    assert (workspace.auth, workspace.naive_hours) == (Auth.QUERY, NaiveHours.WORKSPACE)
    assert workspace.timezone == ZoneInfo("Asia/Tokyo")


def test_a_workspace_wins_over_defaults(tmp_path: Path) -> None:
    """A workspace's own key wins, key by key inside rate_limit, lookback and retry; the others are inherited."""
    defaults = {
        "units": ["day"], "start": "2026-10-01", "lookback": {"day": 7, "hour": 24}, "settle": "1h",
        "rate_limit": {"per_second": 5, "reserve": 0.5}, "retry": {"attempts": 2, "max_seconds": 9},
    }  # fmt: skip
    own = make_workspace(units=["hour"], lookback={"hour": 48}, rate_limit={"reserve": 0.1}, retry={"attempts": 3})
    workspace = config_of(tmp_path, make_config_text(own, defaults=defaults)).workspaces[0]
    assert (workspace.units, workspace.start, workspace.settle) == ((Unit.HOUR,), date(2026, 10, 1), timedelta(hours=1))
    assert workspace.lookback == {Unit.DAY: 7, Unit.HOUR: 48}
    assert workspace.rate_limit == RateLimit(250_000, 0.1, 5)
    assert workspace.retry == Retry(3, 0.5, 9)


def test_apps_and_segments(tmp_path: Path) -> None:
    """Apps keep their restriction (none, some, all) and their own dates; so do segments."""
    workspace = make_workspace(
        apps=[
            {"name": "all", "id": "1-a"},
            {"name": "some", "id": "2-b", "segments": ["vip"], "start": "2026-11-01"},
            {"name": "none", "id": "3-c", "segments": [], "end": "2026-06-30"},
        ],
        segments=[{"name": "vip", "id": "a/b ü%", "start": "2026-01-01", "end": "2026-02-01"}],
    )
    found = config_of(tmp_path, make_config_text(workspace)).workspaces[0]
    assert found.apps == (
        App("all", "1-a"),
        App("some", "2-b", ("vip",), date(2026, 11, 1)),
        App("none", "3-c", (), None, date(2026, 6, 30)),
    )
    assert found.segments == (Segment("vip", "a/b ü%", date(2026, 1, 1), date(2026, 2, 1)),)


def test_a_retired_app_is_no_mistake(tmp_path: Path) -> None:
    """An own end before the inherited start says that an app is retired."""
    workspace = make_workspace(start="2026-10-01", apps=[{"name": "lite", "id": "x", "end": "2026-06-30"}])
    assert config_of(tmp_path, make_config_text(workspace)).workspaces[0].apps[0].end == date(2026, 6, 30)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("./lake", "{folder}/lake"),
        ("../x/../lake", "{parent}/lake"),
        ("/data/lake", "/data/lake"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("gs://b", "gs://b"),
        ("abfs://container@account.dfs.core.windows.net/p", "abfs://container@account.dfs.core.windows.net/p"),
    ],
)
def test_lakes(tmp_path: Path, written: str, read: str) -> None:
    """A folder is relative to the config file and becomes absolute; an object store's URL is kept."""
    config = config_of(tmp_path, make_config_text(lake=written))
    assert config.lake == read.format(folder=tmp_path, parent=tmp_path.parent)


def test_a_relative_config_path_gives_an_absolute_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the file was named, the lake is absolute."""
    config_of(tmp_path, make_config_text())
    monkeypatch.chdir(tmp_path)
    assert load(Path("c.yaml"), {}, secrets=False).lake == str(tmp_path / "lake")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://rest.iad-01.braze.com/", "https://rest.iad-01.braze.com"),
        ("HTTPS://REST.IAD-01.BRAZE.COM:443", "https://rest.iad-01.braze.com"),
        ("https://proxy.example:8443", "https://proxy.example:8443"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:1", "http://[::1]:1"),
        ("http://localhost:443", "http://localhost:443"),
    ],
)
def test_endpoints(tmp_path: Path, written: str, read: str) -> None:
    """An endpoint is kept as scheme, host and port, in lower case."""
    assert config_of(tmp_path, make_config_text(make_workspace(endpoint=written))).workspaces[0].endpoint == read


@pytest.mark.parametrize("empty", ["", " {}", " null", " ~"])
def test_empty_sections_count_as_absent(tmp_path: Path, empty: str) -> None:
    """`defaults:` with nothing in it, and any key without a value, are as good as absent."""
    text = make_config_text(make_workspace(retry={}, start=None)) + f"defaults:{empty}\n"
    assert config_of(tmp_path, text) == config_of(tmp_path, make_config_text())
    assert config_of(tmp_path, text.replace("retry: {}", "retry:\n  start:")) == config_of(tmp_path, text)


def test_anchors_aliases_and_merge_keys(tmp_path: Path) -> None:
    """YAML's ways of not writing a thing twice work; an own key wins over a merged one."""
    text = """
lake: lake
workspaces:
  - &first
    name: acme
    endpoint: https://rest.iad-01.braze.com
    api_key: ${A}
    apps: &apps [{name: ios, id: x}]
    retry: &retry {attempts: 2}
  - <<: *first
    name: globex
    api_key: ${B}
    retry: {<<: [*retry, {attempts: 9, max_seconds: 7}], base_seconds: 1}
"""
    first, second = config_of(tmp_path, text).workspaces
    assert second.endpoint == first.endpoint
    assert second.apps == first.apps
    assert second.retry == Retry(2, 1, 7)


def test_a_file_in_utf8_with_mark_and_windows_lines(tmp_path: Path) -> None:
    """A byte order mark and CRLF change nothing."""
    text = "\ufeff" + make_config_text().replace("\n", "\r\n")
    assert config_of(tmp_path, text) == config_of(tmp_path, make_config_text())


def test_a_mistake_names_the_file_as_the_user_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake reads `FILE:LINE: key.path: sentence`, FILE as it was given."""
    mistakes_of(tmp_path, "lake: ./lake\nworkspaces: 7\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(Path("c.yaml"), {}, secrets=False)
    assert str(caught.value).startswith("c.yaml:2: workspaces: must be a list, not the number 7: write `workspaces: [")


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    """No file: the message names the option and the variable."""
    with pytest.raises(
        ConfigError, match=r"there is no such file: name another file with --config FILE or \$COLLECTOR_CO"
    ):
        load(tmp_path / "none.yaml", {}, secrets=False)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    """A folder is reported as one."""
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path, {}, secrets=False)


def test_keys_that_begin_with_x_are_left_alone(tmp_path: Path) -> None:
    """`x-…` at the top holds anchors: whatever it is, it is no mistake there, and what uses it is checked as usual."""
    text = """
x-apps: &apps [{name: ios, id: id-ios}]
x-settings: &settings {settle: 1h, start: 2026-10-01}
x-other: !custom [1, {x: !!set {}, x: 2, ? [a] : b}]
x-nothing:
lake: lake
defaults: {<<: *settings, settle: 2h}
workspaces:
  - {name: a, endpoint: 'https://x.example', api_key: '${A}', apps: *apps}
"""
    config = config_of(tmp_path, text)
    assert [app.name for app in config.workspaces[0].apps] == ["ios"]
    assert config.workspaces[0].settle == timedelta(hours=2)
    wrong = text.replace("id: id-ios", "id: 7").replace("apps: *apps", "apps: *apps, x-own: 1")
    found = [line.split(": ")[1:3] for line in mistakes_of(tmp_path, wrong)]
    assert found == [
        ["workspaces[0].apps[0].id", "must be text, not the number 7"],
        ["workspaces[0].x-own", "unknown key"],
    ]


def test_require_lake_is_false_unless_it_is_written(tmp_path: Path) -> None:
    """`require_lake` is read at the top of the file."""
    assert not config_of(tmp_path, make_config_text()).require_lake
    assert config_of(tmp_path, make_config_text(require_lake=True)).require_lake
