from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from collector.config.endpoint import KNOWN_HOSTS, meant, read_endpoint
from tests.config.builder import ENVIRON, KEY, config_of, make_config, make_config_text, make_workspace, mistakes_of

if TYPE_CHECKING:
    from pathlib import Path

FIFTEEN = """\
lke: ./lake
defaults:
  units: []
  scopes: [app, ap_segment]
  start: 2026-13-45
  settle: 10
  rate_limit: {per_hour: 0}
  concurency: 5
workspaces:
  - name: Acme
    endpoint: https://dashboard-01.braze.com
    api_key: sk-literal-and-secret
    timezone: America/New_Yrok
    apps:
      - {name: no, id: a}
      - {name: ios, id: 1234}
      - {name: ios, id: c, segments: [vpi]}
      - {nme: web, id: d}
    segments: [{name: vip, id: z}]
  - name: globex
    endpoint: http://rest.iad-01.braze.com
    api_key: ${NOT_SET}
    apps: [{name: x, id: x}]
    auth: [header]
"""


def test_many_mistakes_one_line_each(tmp_path: Path) -> None:
    """Each mistake of a file is one line, in the order of lines, and none drags another behind it."""
    found = mistakes_of(tmp_path, FIFTEEN, ENVIRON, secrets=True)
    assert [line.split(": ")[:2] for line in found] == [
        ["1", "lke"],
        ["3", "defaults.units"],
        ["4", "defaults.scopes[1]"],
        ["5", "defaults.start"],
        ["6", "defaults.settle"],
        ["7", "defaults.rate_limit.per_hour"],
        ["8", "defaults.concurency"],
        ["10", "workspaces[0].name"],
        ["11", "workspaces[0].endpoint"],
        ["12", "workspaces[0].api_key"],
        ["13", "workspaces[0].timezone"],
        ["15", "workspaces[0].apps[0].name"],
        ["16", "workspaces[0].apps[1].id"],
        ["17", "workspaces[0].apps[2].name"],
        ["17", "workspaces[0].apps[2].segments[0]"],
        ["18", "workspaces[0].apps[3].nme"],
        ["21", "workspaces[1].endpoint"],
        ["22", "workspaces[1].api_key"],
        ["24", "workspaces[1].auth"],
    ]
    assert "sk-literal" not in "".join(found)


def _app(**keys: Any) -> dict[str, Any]:
    return {"apps": [{"name": "ios", "id": "x"} | keys]}


ONE_WORKSPACE: list[tuple[dict[str, Any], str]] = [
    ({"endpoit": "x", "endpoint": None}, "endpoit: unknown key: write endpoint"),
    ({"url": "https://x", "endpoint": None}, "url: unknown key: write endpoint"),
    ({"Timezone": "UTC"}, "Timezone: unknown key: write timezone"),
    ({"qqq": 1}, "qqq: unknown key: write one of metrics, events, units, scopes, start"),
    ({"strt": 1, "start": "2026-01-01"}, "strt: unknown key, and start is already here: remove it"),
    ({"per_second": 1}, "per_second: does not belong here: write it under rate_limit"),
    ({"lake": "x"}, "lake: does not belong here: write it at the top of the file"),
    ({"endpoint": None}, "endpoint: is missing: write `endpoint: https://rest.iad-01.braze.com`"),
    ({"endpoint": 7}, "endpoint: must be text, not the number 7: put it in quotes"),
    ({"endpoint": "rest.iad-01.braze.com"}, "endpoint: has no scheme: write https://rest.iad-01.braze.com"),
    ({"endpoint": "https://rest.fra-01.braze.com"}, "endpoint: rest.fra-01.braze.com is not a REST endpoint: write https://rest.fra-01.braze.eu"),
    ({"endpoint": "https://dashboard.braze.com"}, "endpoint: dashboard.braze.com is not a REST"),
    ({"endpoint": "ftp://h"}, "endpoint: has the scheme 'ftp': write https://"),
    ({"endpoint": "https://"}, "endpoint: has no host"),
    ({"endpoint": "https://["}, "endpoint: is not a URL"),
    ({"endpoint": "https://h:99999"}, "endpoint: is not a URL"),
    ({"endpoint": "https://a b"}, "endpoint: contains a space"),
    ({"endpoint": "https://u:pass@h"}, "endpoint: contains a user or password"),
    ({"endpoint": "https://rest.iad-02.braze.com/sessions?x"}, "endpoint: contains more than a host: write https://rest.iad-02."),
    ({"endpoint": "https://dashboard-03.braze.com"}, "endpoint: dashboard-03.braze.com is not a REST endpoint: write https://rest.iad-03.braze.com"),
    ({"endpoint": "https://dashboard-01.braze.eu"}, "endpoint: dashboard-01.braze.eu is not a REST endpoint: write https://rest.fra-01.braze.eu"),
    ({"endpoint": "https://dashboard.us-10.braze.com"}, "endpoint: dashboard.us-10.braze.com is not a REST endpoint"),
    ({"endpoint": "https://rest.iad-01.brase.com"}, "endpoint: rest.iad-01.brase.com looks like a misspelled host"),
    ({"endpoint": "http://proxy.example"}, "endpoint: would send the key unencrypted to proxy.example: write https://"),
    ({"endpoint": "http://127.0.0.1.example"}, "endpoint: would send the key unencrypted"),
    ({"endpoint": "https://${HOST}"}, "endpoint: contains ${…}, which only api_key may"),
    ({"endpoint": "“https://rest.iad-01.braze.com”"}, "endpoint: has typographic quotes (such as “ ” ‘ ’ « »)"),
    ({"timezone": "‘UTC’"}, "timezone: has typographic quotes"),
    ({"timezone": "America/New York"}, "timezone: unknown time zone 'America/New York': write America/New_York"),
    ({"timezone": "tokyo"}, "timezone: unknown time zone 'tokyo': write Asia/Tokyo"),
    ({"timezone": "../UTC"}, "timezone: unknown time zone"),
    ({"timezone": "America"}, "timezone: unknown time zone"),
    ({"timezone": 5}, "timezone: must be text, not the number 5: put it in quotes"),
    ({"name": "acme.eu"}, "name: 'acme.eu' is not a valid name"),
    ({"name": "a" * 64}, "name: has 64 characters: write 63 at most"),
    ({"name": "nan"}, "name: nan is not read as text by some query engines"),
    ({"name": "“acme”"}, "name: has typographic quotes"),
    ({"“auth”": "header"}, "'“auth”': has typographic quotes: write auth"),
    ({"«name»": "acme", "name": None}, "'«name»': has typographic quotes: write name"),
    ({"api_key": "“${BRAZE_API_KEY_ACME}”"}, "api_key: has typographic quotes"),
    ({"units": ["“day”"]}, "units[0]: has typographic quotes"),
    ({"concurrency": "“5”"}, "concurrency: has typographic quotes"),
    ({"start": "‘2026-10-01’"}, "start: has typographic quotes"),
    ({"settle": "„10m“"}, "settle: has typographic quotes"),
    (_app(id="“x”"), "apps[0].id: has typographic quotes"),
    (_app(id="3bbc’4555"), "apps[0].id: has typographic quotes"),
    (_app(name="»ios«"), "apps[0].name: has typographic quotes"),
    (_app(segments=["‘vip’"]), "apps[0].segments[0]: has typographic quotes"),
    ({"segments": [{"name": "vip", "id": "＂x＂"}]}, "segments[0].id: has typographic quotes"),
    ({"api_key": None, "api_key_file": "‘key’"}, "api_key_file: has typographic quotes"),
    ({"api_key": None, "api_key_file": "$HOME/key"}, "api_key_file: contains '$HOME', which is not replaced here"),
    ({"api_key": None, "api_key_file": "/keys/{name}"}, "api_key_file: contains '{name}', which is not replaced here"),
    ({"name": True}, "name: must be text, not true, as YAML reads 'true': put it in quotes"),
    ({"units": "day"}, "units: must be a list, not the text 'day': write `units: [day, hour]`"),
    ({"units": ["week"]}, "units[0]: unknown unit 'week': write day or hour"),
    ({"units": ["day", "day"]}, "units[1]: 'day' is twice in this list"),
    ({"scopes": []}, "scopes: an empty list is not allowed here"),
    ({"scopes": ["apps"]}, "scopes[0]: unknown scope 'apps': write app, app_segment, workspace or workspace_segment"),
    ({"apps": []}, "apps: an empty list is not allowed here: write at least one app"),
    ({"apps": None, "segments": None}, "apps: nothing to collect for scopes [app, app_segment]: add apps, or"),
    ({"scopes": ["workspace_segment"], "segments": []}, "segments: nothing to collect for scopes [workspace_segment]"),
    ({"scopes": ["app_segment"], **_app(segments=[])}, "scopes: nothing to collect for scopes [app_segment]: add"),
    ({"auth": "both"}, "auth: unknown auth 'both': write header or query"),
    ({"auth": True}, "auth: unknown auth true"),
    ({"naive_hours": "local"}, "naive_hours: unknown naive_hours 'local': write utc or workspace"),
    ({"concurrency": "many"}, "concurrency: must be an integer, not the text 'many': write `concurrency: 32`"),
    ({"concurrency": 2.0}, "concurrency: must be an integer, not the number 2.0"),
    ({"concurrency": True}, "concurrency: must be an integer, not true"),
    ({"concurrency": 1001}, "concurrency: is 1001, which is out of range: write at least 1 and at most 1000"),
    ({"concurrency": 10**60}, "concurrency: is 1000000"),
    ({"timeout_seconds": 0}, "timeout_seconds: is 0, which is out of range: write more than 0 and at most 600"),
    ({"timeout_seconds": float("nan")}, "timeout_seconds: must be a number, not the number .nan"),
    ({"rate_limit": {"reserve": 1}}, "rate_limit.reserve: is 1, which is out of range: write at least 0 and less"),
    ({"rate_limit": {"reserve": "20%"}}, "rate_limit.reserve: must be a number, not the text '20%'"),
    ({"rate_limit": {"per_hour": -1}}, "rate_limit.per_hour: is -1, which is out of range"),
    ({"rate_limit": {"per_second": 0}}, "rate_limit.per_second: is 0, which is out of range"),
    ({"rate_limit": 100}, "rate_limit: must be a mapping, not the number 100: write `rate_limit: {per_hour: 250000"),
    ({"retry": {"attempts": 0}}, "retry.attempts: is 0, which is out of range: write at least 1 and at most 20"),
    ({"retry": {"base_seconds": 61}}, "retry.base_seconds: the longest backoff of 60.0 s is shorter than the"),
    ({"retry": {"base_seconds": 5, "max_seconds": 1}}, "retry.max_seconds: the longest backoff of 1 s is shorter"),
    ({"retries": 3}, "retries: unknown key: write retry"),
    ({"lookback": {"day": 401}}, "lookback.day: is 401, which is out of range"),
    ({"lookback": {"day": 0}}, "lookback.day: is 0, and there is no start"),
    ({"lookback": {"day": 0, "hour": 0}}, "lookback: is 0, and there is no start"),
    ({"lookback": {"hour": 0}, "scopes": ["app"], **_app()}, "lookback.hour: is 0, and there is no start"),
    ({"settle": "ten minutes"}, "settle: must be a duration of days, hours, minutes and seconds: write 10m"),
    ({"settle": 600}, "settle: has no unit"),
    ({"refresh_after": ["6h"]}, "refresh_after: must be a duration"),
    ({"start": "01.10.2026"}, "start: must be a date, not '01.10.2026': write YYYY-MM-DD, such as 2026-10-01"),
    ({"start": 2026}, "start: must be a date: write YYYY-MM-DD, such as 2026-10-01"),
    ({"start": "1999-12-31"}, "start: is not between 2000-01-01 and 2999-12-31"),
    ({"end": "9999-12-31"}, "end: is not between 2000-01-01 and 2999-12-31: write a date in that range, or"),
    ({"start": "2026-10-02", "end": "2026-10-01"}, "start: 2026-10-02 is after the end 2026-10-01 in line"),
    ({"end": "2026-10-01", **_app(start="2026-10-02")}, "apps[0].start: 2026-10-02 is after the end"),
    ({"segments": [{"name": "vip", "id": "x", "start": "2026-10-02", "end": "2026-10-01"}]}, "segments[0].start: 2026"),
    (_app(id=None), "apps[0].id: is missing: write `id: 3bbc4555"),
    (_app(id=""), "apps[0].id: is empty"),
    (_app(id=" x"), "apps[0].id: starts or ends with a space"),
    (_app(id="a\nb"), "apps[0].id: contains a line break"),
    (_app(id="x" * 256), "apps[0].id: has 256 characters: write 255 at most"),
    (_app(id=123), "apps[0].id: must be text, not the number 123: put it in quotes"),
    (_app(app_id="x"), "apps[0].app_id: unknown key, and id is already here"),
    (_app(timezone="UTC"), "apps[0].timezone: does not belong here: write it in a workspace"),
    (_app(segments=["vpi"]), "apps[0].segments[0]: no segment 'vpi' in this workspace: write 'vip', or define it"),
    (_app(segments=["vip", "vip"]), "apps[0].segments[1]: 'vip' is twice in this list"),
    ({"segments": None, **_app(segments=["vip"])}, "apps[0].segments[0]: no segment 'vip' in this workspace: define"),
    ({"segmens": [{"name": "v", "id": "x"}], "segments": None, **_app(segments=["v"])}, "segmens: unknown key: write"),
    ({"apps": [{"name": "a", "id": "x"}, {"name": "a", "id": "y"}]}, "apps[1].name: 'a' is already used in line"),
    ({"apps": [{"name": "a", "id": "x"}, {"name": "b", "id": "x"}]}, "apps[1].id: 'x' is already used in line"),
    ({"apps": [{"name": "a", "id": "x"}, {"name": "a", "id": "x"}]}, "apps[1].id: 'x' is already used in line"),
    ({"segments": [{"name": "a", "id": "x"}, {"name": "a", "id": "y"}]}, "segments[1].name: 'a' is already used"),
    ({"apps": ["ios"]}, "apps[0]: must be a mapping, not the text 'ios': write `- {name: ios, id: 3bbc4555"),
    ({"apps": {"ios": "x"}}, "apps: must be a list, not a mapping"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), ONE_WORKSPACE, ids=lambda value: str(value)[:60])
def test_a_mistake_of_a_workspace_is_one_line(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """Each mistake is reported in one sentence, at its own key, and alone."""
    found = mistakes_of(tmp_path, make_config_text(make_workspace(**changes)))
    assert len(found) == 1, found
    assert found[0].partition(": ")[2].startswith(f"workspaces[0].{expected}"), found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lake": None}, "lake: is missing: write `lake: ./lake`"),
        ({"lake": ["x"]}, "lake: must be text, not a list"),
        ({"lake": "file:///x"}, "lake: is a file URL: write only the folder"),
        ({"lake": "hdfs://x/y"}, "lake: unknown kind of object store 'hdfs': write a folder, or a URL with s3://"),
        ({"lake": "s3a://b/p"}, "lake: unknown kind of object store 's3a': write s3://…"),
        ({"lake": "s3:/b/p"}, "lake: has no bucket: write s3://bucket/prefix"),
        ({"lake": "s3:///p"}, "lake: has no bucket"),
        ({"lake": "${HOME}/lake"}, "lake: contains ${…}, which only api_key may"),
        *(
            ({"lake": text}, f"lake: contains '{placeholder}', which is not replaced here: write the complete path")
            for text, placeholder in (
                ("$HOME/lake", "$HOME"),
                ("/data/$USER", "$USER"),
                ("$(pwd)/lake", "$(pwd)"),
                ("/data/`hostname`", "`hostname`"),
                ("%USERPROFILE%/lake", "%USERPROFILE%"),
                ("%(home)s/lake", "%(home)s"),
                ("/data/%Y", "%Y"),
                ("!HOME!/lake", "!HOME!"),
                ("/data/{name}", "{name}"),
                ("{{ lake }}", "{ lake }"),
                ("<lake>", "<lake>"),
                ("s3://<your bucket>/prefix", "<your bucket>"),
                ("/data/@LAKE@", "@LAKE@"),
                ("gs://…", "…"),
                ("/data/.../lake", "..."),
            )
        ),
        ({"lake": "~user/lake"}, "lake: starts with ~, which is not expanded here"),
        ({"lake": "“./lake”"}, "lake: has typographic quotes"),
        ({"“require_lake”": True}, "'“require_lake”': has typographic quotes: write require_lake"),
        ({"require_lake": "yes please"}, "require_lake: must be true or false, not the text 'yes please'"),
        ({"storage": {"region": "$REGION"}, "lake": "s3://b/p"}, "storage.region: contains a placeholder"),
        ({"lake": "~/lake"}, "lake: starts with ~, which is not expanded here"),
        ({"workspaces": None}, "workspaces: is missing"),
        ({"workspaces": []}, "workspaces: an empty list is not allowed here: write at least one workspace"),
        ({"workspaces": "acme"}, "workspaces: must be a list, not the text 'acme'"),
        ({"workspace": [], "workspaces": None}, "workspace: unknown key: write workspaces"),
        ({"defaults": []}, "defaults: must be a mapping, not a list"),
        ({"defaults": {"timezone": "UTC"}}, "defaults.timezone: does not belong here: write it in a workspace"),
        ({"units": ["day"]}, "units: does not belong here: write it under defaults, or in a workspace"),
        ({"defaults": {"lookback": {"day": 0}}}, "defaults.lookback.day: is 0, and there is no start"),
        ({"defaults": {"retry": {"max_seconds": 0.1}}}, "defaults.retry.max_seconds: the longest backoff of 0.1 s"),
        ({"defaults": {"start": "2026-02-01", "end": "2026-01-01"}}, "defaults.start: 2026-02-01 is after the end"),
    ],
    ids=str,
)
def test_a_mistake_of_the_file_is_one_line(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """So is each mistake outside the workspaces."""
    text = yaml.safe_dump({key: value for key, value in (make_config() | changes).items() if value is not None})
    found = mistakes_of(tmp_path, text)
    assert len(found) == 1, found
    assert found[0].partition(": ")[2].startswith(expected), found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://https://rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("https://http://rest.iad-06.braze.com/", "https://rest.iad-06.braze.com"),
        ("https//rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("https:/rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("https:rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("https:///rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("htps://rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("https;//rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("http:\\\\rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("//rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("<https://rest.iad-06.braze.com>", "https://rest.iad-06.braze.com"),
        ("https://rest.iad-06.braze.com,", "https://rest.iad-06.braze.com"),
        ("https://rest.iad-06.braze.com ", "https://rest.iad-06.braze.com"),
        ("https://rest.iad‑06.braze.com", "https://rest.iad-06.braze.com"),
        ("https://rest.iad-06.braze.com/sessions/data_series?app_id=x", "https://rest.iad-06.braze.com"),
        ("http://rest.iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("https://rest.iad-06.braze.com:80", "https://rest.iad-06.braze.com"),
        ("https://rest.iad-06.braze.com:8443", "https://rest.iad-06.braze.com"),
        ("rest.iad-06.braze.com:443", "https://rest.iad-06.braze.com"),
        ("REST.IAD-06.BRAZE.COM", "https://rest.iad-06.braze.com"),
        ("rest.iad-6.braze.com", "https://rest.iad-06.braze.com"),
        ("https://rest.iad-6.braze.com", "https://rest.iad-06.braze.com"),
        ("https://rest.iad6.braze.com", "https://rest.iad-06.braze.com"),
        ("https://rest.iad_06.braze.com", "https://rest.iad-06.braze.com"),
        ("https://rest-iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("https://iad-06.braze.com", "https://rest.iad-06.braze.com"),
        ("https://rest.iad-6.brase.com", "https://rest.iad-06.braze.com"),
        ("https://sdk.fra-2.braze.eu", "https://rest.fra-02.braze.eu"),
        ("rest.iad-11.braze.com", "https://rest.iad-11.braze.com"),
        ("proxy.example.com:8443", "https://proxy.example.com:8443"),
        ("https//proxy.example.com:443/x", "https://proxy.example.com"),
        ("localhost:8787", "http://localhost:8787"),
        ("127.0.0.1:8787/sessions", "http://127.0.0.1:8787"),
        (KEY, "https://rest.iad-01.braze.com"),
        (f"https//{KEY}", "https://rest.iad-01.braze.com"),
        (f"https://https://{KEY}", "https://rest.iad-01.braze.com"),
    ],
)
def test_the_advice_about_an_endpoint_can_be_pasted(tmp_path: Path, text: str, meant: str) -> None:
    """However an endpoint is mistyped, the message has the one that is meant, which is accepted, and shows no key."""
    (found,) = mistakes_of(tmp_path, make_config_text(make_workspace(endpoint=text)))
    assert re.findall(r"write (https?://[^\s,]+)", found) == [meant]
    assert KEY not in found
    config_of(tmp_path, make_config_text(make_workspace(endpoint=meant)))


PIECES = st.sampled_from(
    [
        *(*KNOWN_HOSTS, "https", "http", "://", "//", ":", "/", ".", "-", " ", "@", "443", "8787", "rest.", "iad-6"),
        *(
            "dashboard",
            "sdk.",
            ".braze.com",
            ".braze.eu",
            ".brase.com",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "x?y=z",
            "#",
        ),
    ]
)


@given(st.text(max_size=40) | st.lists(PIECES | st.characters(), max_size=7).map("".join))
@example("https://dashboard.braze.com")
@example("foo.braze.com")
@example("rest.iad-01.braze.co")
def test_what_is_meant_is_always_accepted(text: str) -> None:
    """Whatever is written, the endpoint of the advice is no mistake, and to read one twice changes nothing."""
    assert read_endpoint(meant(text)) == meant(text)
    with suppress(ValueError):
        assert read_endpoint(read_endpoint(text)) == read_endpoint(text)


def test_an_endpoint_may_have_the_port_of_its_scheme(tmp_path: Path) -> None:
    """`:443` and a final slash change nothing."""
    config = config_of(tmp_path, make_config_text(make_workspace(endpoint="https://rest.iad-06.braze.com:443/")))
    assert config.workspaces[0].endpoint == "https://rest.iad-06.braze.com"


def test_an_apostrophe_is_no_quote(tmp_path: Path) -> None:
    """Names may have one in them or at their end, and paths may have signs that only look like placeholders."""
    apps = [{"name": "customers’", "id": "a"}, {"name": "Bob’s “best” app", "id": "b"}]
    config = config_of(tmp_path, make_config_text(make_workspace(apps=apps), lake="./100% {a $ < b of Bob’s ~lake..x"))
    assert config.lake.endswith("Bob’s ~lake..x")


def test_a_key_of_workspaces_under_defaults_is_not_missed_again(tmp_path: Path) -> None:
    """An endpoint in the wrong place is one mistake, however many workspaces lack it."""
    workspaces = [make_workspace(endpoint=None), make_workspace("globex", endpoint=None)]
    found = mistakes_of(tmp_path, make_config_text(*workspaces, defaults={"endpoint": "https://h"}))
    assert [line.split(": ")[1] for line in found] == ["defaults.endpoint"]


def test_duplicate_workspace_names(tmp_path: Path) -> None:
    """A name given twice is a mistake at its second place, also if the complete workspace was copied."""
    found = mistakes_of(tmp_path, make_config_text(make_workspace(), make_workspace()))
    assert len(found) == 1
    assert "workspaces[1].name: 'acme' is already used in line 3" in found[0]


def test_lookback_of_zero_is_fine_with_a_start(tmp_path: Path) -> None:
    """Lookback 0 turns re-reading off where a start says what is wanted: the workspace's, or each series' own."""
    config_of(tmp_path, make_config_text(make_workspace(start="2026-10-01", lookback={"day": 0, "hour": 0})))
    apps = [{"name": "ios", "id": "x", "start": "2026-10-01"}]
    config_of(tmp_path, make_config_text(make_workspace(apps=apps, lookback={"day": 0})))
    segments = [{"name": "vip", "id": "x", "start": "2026-10-01"}]
    changes: dict[str, Any] = {"segments": segments, "scopes": ["app_segment"], "lookback": {"day": 0}}
    config_of(tmp_path, make_config_text(make_workspace(**changes)))
    config_of(tmp_path, make_config_text(make_workspace(units=["hour"], lookback={"day": 0})))


def test_one_mistake_behind_an_alias_is_one_line(tmp_path: Path) -> None:
    """A wrong value that two workspaces share through an alias is reported once, where it is written."""
    text = """
lake: lake
workspaces:
  - {name: a, endpoint: 'https://x.example', api_key: '${A}', apps: &apps [{name: ios, id: 7}]}
  - {name: b, endpoint: 'https://x.example', api_key: '${B}', apps: *apps}
"""
    assert mistakes_of(tmp_path, text) == [
        "4: workspaces[0].apps[0].id: must be text, not the number 7: put it in quotes"
    ]


def test_yaml_types_that_nobody_meant(tmp_path: Path) -> None:
    """`no` and numbers require quotes; dates and times stay text."""
    text = """
lake: lake
workspaces:
  - name: acme
    endpoint: https://x.example
    api_key: ${A}
    apps: [{name: no, id: a}, {name: 10:30, id: 2026-10-01}, {name: c, id: 0o17}, {name: d, id: 0x1F}]
"""
    assert mistakes_of(tmp_path, text) == [
        "7: workspaces[0].apps[0].name: must be text, not false, as YAML reads 'no': put it in quotes",
        "7: workspaces[0].apps[3].id: must be text, not the number 0x1F: put it in quotes",
    ]


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(12)
)
MERGED_LAUGHS = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join([f'*{chr(97 + n)}'] * 9)}]}}\n" for n in range(12)
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "1: (file): is empty: write lake: and workspaces:"),
        (b"# nothing\n", "1: (file): is empty"),
        (b"---\n", "1: (file): is nothing: write a mapping"),
        (b"- a\n", "1: (file): is a list: write a mapping"),
        (b"lake: x\nname: \xe9\n", "2: (file): is not UTF-8 text: save the file as UTF-8"),
        ("lake: x".encode("utf-16"), "1: (file): is not UTF-8 text"),
        (b"lake: x\n\n\x00", "3: (file): contains the control character U+0000"),
        (b"lake: x\ndefaults:\n\tunits: [day]\n", "3: (file): is indented with a tab"),
        (b"lake: x\nworkspaces: [{name: a\n", "2: (file): is not valid YAML"),
        (b"lake: 'x\n", "1: (file): is not valid YAML"),
        (b"a: 1\n--- \nb: 2\n", "2: (file): is a second YAML document"),
        (b"a: &a [*a]\n", "1: (file): has an alias (*) that contains itself"),
        (b"a: *b\n", "1: (file): has an alias (*) that has no anchor"),
        (LAUGHS.encode(), "1: (file): expands through aliases (*) to more than 300000 values"),
        (MERGED_LAUGHS.encode(), "1: (file): expands through aliases (*) to more than 300000 values"),
        (b"[" * 100_000, "1: (file): is nested deeper than 32 levels"),
        (b"#" * (4 * 2**20 + 1), "1: (file): is larger than 4194304 bytes"),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else "",
)
def test_what_is_no_config_at_all(tmp_path: Path, raw: bytes, expected: str) -> None:
    """A file that cannot be read as YAML is one mistake, at its line, quickly."""
    found = mistakes_of(tmp_path, raw)
    assert len(found) == 1
    assert found[0].startswith(expected), found


def test_flaws_of_the_yaml_come_with_the_others(tmp_path: Path) -> None:
    """A repeated key, a tag and a key that is not text are reported together with all other mistakes."""
    text = make_config_text(qqq=1) + "lake: x\ndefaults: !!set {}\n? [a]\n: 1\n"
    found = mistakes_of(tmp_path, text)
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == ["qqq", "lake", "defaults", "(file)"]
    assert "first defined in line 1" in found[1]
