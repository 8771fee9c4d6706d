from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config.schema import (
    AppModel,
    FileModel,
    LookbackModel,
    RateLimitModel,
    RetryModel,
    SegmentModel,
    WorkspaceModel,
)
from tests.config.builder import make_config, make_config_text, make_workspace
from tests.fuzz.configs import check

MODELS = (FileModel, WorkspaceModel, AppModel, SegmentModel, LookbackModel, RateLimitModel, RetryModel)
WORDS = [
    *sorted({key for model in MODELS for key in model.model_fields}),
    "day", "hour", "app", "acme", "vip", "2026-10-01", "2026-13-45", "10m", "${A}", "https://rest.iad-01.braze.com",
    "https://[", "s3://b/p", "s3:/", "no", "<<", "UTC", "../etc", "\ud7ff", "\u2028", "0x_", "1_0", "/dev/null", "\x85",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.text(max_size=8), st.dates()
)
STRUCTURES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes_are_a_config_or_mistakes(raw: bytes) -> None:
    """Whatever the bytes, there is a Config or a ConfigError in line order, and nothing else."""
    check(raw)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="{}[]&*!|>'\"%@`#:,-?<~ \n\tab1", max_size=60))
def test_any_yaml_signs_are_a_config_or_mistakes(text: str) -> None:
    """YAML's own signs in any order raise nothing else either."""
    check(text.encode())


@settings(max_examples=150, deadline=None)
@given(STRUCTURES, st.sampled_from(["lake", "defaults", "workspaces"]))
def test_any_structure_is_a_config_or_mistakes(structure: object, key: str) -> None:
    """Any data in place of a section is a Config or mistakes."""
    check(yaml.safe_dump(make_config() | {key: structure}).encode(errors="surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(WORDS), STRUCTURES, max_size=4))
def test_any_workspace_is_a_config_or_mistakes(changes: dict[str, Any]) -> None:
    """Any data under any keys of a workspace is a Config or mistakes."""
    raw = yaml.safe_dump(make_config(make_workspace() | changes, make_workspace("globex")))
    check(raw.encode(errors="surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_a_config_or_mistakes(data: st.DataObject) -> None:
    """A valid file with a piece cut out and another put in is a Config or mistakes."""
    text = make_config_text(make_workspace(start="2026-10-01", retry={"attempts": 3}), make_workspace("globex"))
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 40)))
    check((text[:start] + data.draw(st.text(max_size=5)) + text[stop:]).encode(errors="surrogatepass"))
