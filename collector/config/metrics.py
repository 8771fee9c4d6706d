"""The keys `metrics` and `events`: what of the catalogue a workspace wants.

In: a file that is being checked, or a value that has no mistake. Out: mistakes, or the metrics with units and scopes of
their own. Which units and scopes a metric has is in the catalogue; nothing here names one.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from collector.config.settings import MetricChoice
from collector.config.values import quoted
from collector.metrics import DEFAULT_METRICS, METRICS, Metric
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collector.config.document import KeyPath
    from collector.config.mistakes import ConfigCheck

DEFAULTS: KeyPath = ("defaults",)
_OWN: dict[str, type[Unit] | type[Scope]] = {"units": Unit, "scopes": Scope}
_EXAMPLE = f"metrics: [{', '.join(DEFAULT_METRICS)}]"


def metric_choices(value: Any) -> tuple[MetricChoice, ...]:
    """The metrics of a list or a mapping without mistakes, in its order."""
    if isinstance(value, list):
        return tuple(map(MetricChoice, value))
    return tuple(MetricChoice(name, _own(own, "units"), _own(own, "scopes")) for name, own in value.items())


def _own(entry: Any, key: str) -> Any:
    words = (entry or {}).get(key)
    return None if words is None else tuple(_OWN[key](word) for word in words)


def check_metrics(check: ConfigCheck) -> None:
    """Note what is wrong with the lists and mappings themselves, wherever they are written."""
    for place in (DEFAULTS, *check.workspaces()):
        path = (*place, "metrics")
        value = check.get(path)
        if isinstance(value, list):
            _check_list(check, path, value)
        elif isinstance(value, dict):
            _check_mapping(check, path, value)
        elif value is not None:
            check.mistake(path, f"must be a list of metrics, or a mapping: write `{_EXAMPLE}`")


def _check_list(check: ConfigCheck, path: KeyPath, value: list[Any]) -> None:
    if not value:
        check.mistake(path, f"an empty list is not allowed here: write `{_EXAMPLE}`, or remove the key")
    seen: set[str] = set()
    for index, name in enumerate(value):
        if not isinstance(name, str):
            check.mistake((*path, index), f"must be the name of a metric: write one of {', '.join(METRICS)}")
        elif _is_known(check, (*path, index), name) and name in seen:
            check.mistake((*path, index), f"{quoted(name)} is twice in this list: remove one")
        else:
            seen.add(name)


def _check_mapping(check: ConfigCheck, path: KeyPath, value: dict[str, Any]) -> None:
    if not value:
        check.mistake(path, f"an empty mapping is not allowed here: write `{_EXAMPLE}`, or remove the key")
    for name, entry in value.items():
        place = (*path, name)
        if not _is_known(check, place, name) or entry is None:
            continue
        if not isinstance(entry, dict):
            check.mistake(place, f"must be a mapping: write `{name}: {{units: [day]}}`, or `{name}: {{}}`")
            continue
        for key, words in entry.items():
            if key not in _OWN:
                near = get_close_matches(key, _OWN, 1)
                check.mistake(
                    (*place, key), f"unknown key: write {near[0] if near else 'units or scopes'}, or remove it"
                )
            elif words is not None:
                _check_own(check, (*place, key), METRICS[name], key, words)


def _check_own(check: ConfigCheck, path: KeyPath, metric: Metric, key: str, words: Any) -> None:
    offered = [each.value for each in (metric.units if key == "units" else metric.scopes)]
    if not isinstance(words, list):
        check.mistake(path, f"must be a list: write `{key}: [{', '.join(offered)}]`")
    elif not words:
        check.mistake(path, f"an empty list is not allowed here: write some of {', '.join(offered)}, or remove the key")
    else:
        for index, word in enumerate(words):
            if word not in offered:
                found = f"{quoted(word)}, which is not offered" if isinstance(word, str) else "no text"
                check.mistake((*path, index), f"is {found} for {metric.name}: write {_any_of(offered)}, or remove it")
            elif word in words[:index]:
                check.mistake((*path, index), f"{quoted(word)} is twice in this list: remove one")


def _is_known(check: ConfigCheck, path: KeyPath, name: str) -> bool:
    if name in METRICS:
        return True
    near = get_close_matches(name.strip().lower().replace("-", "_"), METRICS, 1)
    hint = near[0] if near else f"one of {', '.join(METRICS)}"
    check.mistake(path, f"unknown metric {quoted(name)}: write {hint}")
    return False


def wanted_metrics(check: ConfigCheck, workspace: KeyPath) -> list[tuple[KeyPath, MetricChoice]] | None:
    """The metrics of a workspace, its own or inherited, each with the path where it is written; None: invalid ones."""
    path = next((each for place in (workspace, DEFAULTS) if check.has(each := (*place, "metrics"))), None)
    if path is None:
        return [((*workspace, "metrics"), MetricChoice(name)) for name in DEFAULT_METRICS]
    if not check.is_valid(path):
        return None
    value: Any = check.get(path)
    keys = range(len(value)) if isinstance(value, list) else list(value)
    return [((*path, key), choice) for key, choice in zip(keys, metric_choices(value), strict=True)]


def note_not_offered(
    check: ConfigCheck, path: KeyPath, choice: MetricChoice, units: tuple[Unit, ...], scopes: tuple[Scope, ...]
) -> None:
    """Note a metric that is offered in none of the wanted units, or in none of the wanted scopes."""
    metric = METRICS[choice.name]
    for key, offered, wanted, found in (
        ("units", metric.units, units, metric.units_of(units, choice.units)),
        ("scopes", metric.scopes, scopes, metric.scopes_of(scopes, choice.scopes)),
    ):
        if not found:
            words = [each.value for each in offered]
            check.mistake(
                path,
                f"{metric.name} is offered for {key} {_any_of(words, 'and')} alone, and [{', '.join(wanted)}] is "
                f"wanted: add {_any_of(words)} to {key}, or remove the metric",
            )


def note_missing_members(check: ConfigCheck, workspace: KeyPath, path: KeyPath, metric: Metric) -> None:
    """Note a metric of events where there is no list of events, and one of segments where there are no segments."""
    events = next((each for place in (workspace, DEFAULTS) if check.has(each := (*place, "events"))), None)
    if metric.has_events and events is None:
        check.mistake(
            path,
            f"{metric.name} needs the names of custom events: write `events: [checkout_completed]` in the workspace",
        )
    segments = (*workspace, "segments")
    if metric.needs_segments and (not check.has(segments) or check.get(segments) == []):
        check.mistake(path, f"{metric.name} needs segments: write `segments:` in the workspace, or remove the metric")


def _any_of(words: list[str], conjunction: str = "or") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
