"""Any config file: a Config with which requests can be built, or its mistakes in line order; a traceback never.

In: the bytes of a file. The environment has keys for `${BRAZE_API_KEY_ACME}` and `${BRAZE_API_KEY_GLOBEX}`, and
`LITERAL` is a key that somebody wrote into the file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from collector.api.request import RequestBuilder
from collector.config.schema import (
    AppModel,
    FileModel,
    LookbackModel,
    RateLimitModel,
    RetryModel,
    SegmentModel,
    StorageModel,
    WorkspaceModel,
)
from collector.config.settings import Config
from collector.model import Reason, Scope, Series, SeriesKey, Span, Unit, Window
from tests.config.builder import ENVIRON, read

LITERAL = "sk-literal-4f1b"

_MODELS = (
    FileModel, StorageModel, WorkspaceModel, AppModel, SegmentModel, LookbackModel, RateLimitModel, RetryModel,
)  # fmt: skip
_KEYS = {key for model in _MODELS for key in model.model_fields}
_SHOWN_KEYS = _KEYS - {"api_key", "api_key_file"}
WORDS = (
    *(f"{key}: " for key in sorted(_KEYS)), *Unit, *Scope, "${BRAZE_API_KEY_ACME}", "${BRAZE_API_KEY_GLOBEX}", LITERAL,
    "https://rest.iad-01.braze.com", "https://rest.fra-01.braze.eu", "http://[::1]:80", "https://[", "s3://b/p", "gs://b",
    "abfs://", "file:///", "${", "\n  - ", "\n    ", "{", "}", "[", "]", "&a ", "*a", "<<: *a", "!!int ", "!", "|", ">",
    "---", "...", "%YAML 1.1", "? ", "#", "~", "null", "true", "no", ".nan", ".inf", "-1", "0x_", "1_0", "1e9", "10:30",
    "2026-10-01", "2026-13-45", "10m", "1h30m", "0", "acme", "UTC", "America/New_York", "../UTC", "\\x00", "\\ud7ff",
    "\u2028", "\x85", "\t", "\ufeff", "..",
)  # fmt: skip


def check(data: bytes) -> None:
    """Load the bytes as a file."""
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), data, ENVIRON, secrets=True)
    if isinstance(found, Config):
        texts = list(found.warnings)
        _assert_usable(found)
    else:
        texts = list(map(str, found))
        assert texts
        lines = [mistake.line for mistake in found]
        assert lines == sorted(lines)
        assert all(1 <= line <= data.count(b"\n") + data.count(b"\r") + 8 for line in lines)
    assert all(text.isprintable() for text in texts)
    said = "\n".join(texts)
    assert not any(key in said for key in ENVIRON.values())
    assert LITERAL not in said or _may_show(data.decode("utf-8-sig"))


def _assert_usable(config: Config) -> None:
    """Each workspace has a key and a host, from which the client makes a request's URL."""
    assert config.workspaces
    for workspace in config.workspaces:
        assert workspace.api_key is not None
        assert not any(key in repr(workspace) for key in ENVIRON.values())
        for app in workspace.apps:
            series = Series(workspace.name, SeriesKey("sessions", Scope.APP, Unit.DAY, app.id, None), app.name)
            request = RequestBuilder(workspace).build(Window(series, Span(20_000, 20_001), Reason.NEW))
            assert request.url.host


def _may_show(text: str) -> bool:
    """Whether the file's own key is also written outside of `api_key`, where nothing shows that it is a key."""
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return False  # then no value is shown at all
    return root is not None and _shows(root, "", set())


def _shows(node: yaml.Node, key: str, seen: set[tuple[int, str]]) -> bool:
    if (id(node), key) in seen:
        return False
    seen.add((id(node), key))
    if isinstance(node, yaml.MappingNode):
        return any(LITERAL in str(name.value) or _shows(value, str(name.value), seen) for name, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return any(_shows(item, key, seen) for item in node.value)
    return LITERAL in str(node.value) and (key in _SHOWN_KEYS or key in ("", "<<"))
