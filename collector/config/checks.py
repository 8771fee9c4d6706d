"""Checks across keys: unique names and ids, dates and backoffs in order, something wanted, storage.

In: a file that is being checked. Out: mistakes. A value that a workspace leaves out is that of `defaults`, then the
built-in one. A mistake is noted where the value is written.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from collector.config.metrics import DEFAULTS, note_missing_members, note_not_offered, wanted_metrics
from collector.config.schema import BUILT_IN
from collector.config.settings import Retry
from collector.config.values import quoted
from collector.metrics import METRICS
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collector.config.document import KeyPath
    from collector.config.mistakes import ConfigCheck
    from collector.config.settings import MetricChoice


def check_names(check: ConfigCheck) -> None:
    """Note duplicate names, ids and list entries, and restrictions to segments that are not defined."""
    _check_unique(check, check.workspaces(), ("name",))
    for place in (("defaults",), *check.workspaces()):
        for key in ("units", "scopes", "events"):
            _check_listed_once(check, (*place, key))
    for workspace in check.workspaces():
        for key in ("apps", "segments"):
            _check_unique(check, check.items((*workspace, key)), ("id", "name"))
        for app in check.items((*workspace, "apps")):
            _check_listed_once(check, (*app, "segments"))
            _check_defined(check, workspace, app)


def _check_unique(check: ConfigCheck, entries: list[KeyPath], keys: tuple[str, ...]) -> None:
    seen: dict[tuple[str, str], KeyPath] = {}
    for entry in entries:
        for key in keys:
            text = check.text((*entry, key))
            if text is None:
                continue
            first = seen.setdefault((key, text), entry)
            if first != entry:
                line = check.line((*first, key))
                check.mistake((*entry, key), f"{quoted(text)} is already used in line {line}: write another {key}")
                break  # a copied entry is one mistake, not two


def _check_listed_once(check: ConfigCheck, path: KeyPath) -> None:
    seen: set[str] = set()
    for item in check.items(path):
        text = check.text(item)
        if text in seen:
            check.mistake(item, f"{quoted(text)} is twice in this list: remove one")
        elif text is not None:
            seen.add(text)


def _check_defined(check: ConfigCheck, workspace: KeyPath, app: KeyPath) -> None:
    place = (*workspace, "segments")
    names = [check.text((*segment, "name")) for segment in check.items(place)]
    if check.is_invalid(place) or None in names:
        return  # the name may be one of those that are invalid
    defined = [name for name in names if name is not None]
    for item in check.items((*app, "segments")):
        text = check.text(item)
        if text is not None and text not in defined:
            nearest = get_close_matches(text, defined, n=1) or defined[:1]
            hint = f"write {quoted(nearest[0])}, or define it" if nearest else "define it"
            check.mistake(item, f"no segment {quoted(text)} in this workspace: {hint} under segments")


def check_order(check: ConfigCheck) -> None:
    """Note a start after its end, and a first backoff above the longest."""
    _check_dates(check, (DEFAULTS,))
    _check_retry(check, (DEFAULTS,))
    for workspace in check.workspaces():
        _check_dates(check, (workspace, DEFAULTS))
        _check_retry(check, (workspace, DEFAULTS))
        for entry in (*check.items((*workspace, "apps")), *check.items((*workspace, "segments"))):
            _check_dates(check, (entry, workspace, DEFAULTS))


def first_path(check: ConfigCheck, places: tuple[KeyPath, ...], *key: str) -> KeyPath | None:
    """The path of the key in the first of the places that has it."""
    return next((path for place in places if check.has(path := (*place, *key))), None)


def _check_dates(check: ConfigCheck, places: tuple[KeyPath, ...]) -> None:
    """A start after the end that applies. An end before an inherited start is a retired app, which is not a mistake."""
    path, end_path = (*places[0], "start"), first_path(check, places, "end")
    start, end = check.day(path), check.day(end_path) if end_path else None
    if end_path and start and end and start > end:
        line = check.line(end_path)
        check.mistake(path, f"{start} is after the end {end} in line {line}: write an earlier start or a later end")


def _check_retry(check: ConfigCheck, places: tuple[KeyPath, ...]) -> None:
    base_path = first_path(check, places, "retry", "base_seconds")
    longest_path = first_path(check, places, "retry", "max_seconds")
    base = check.get(base_path) if base_path else Retry().base_seconds
    max_length = check.get(longest_path) if longest_path else Retry().max_seconds
    if isinstance(base, int | float) and isinstance(max_length, int | float) and max_length < base:
        own = [path for path in (longest_path, base_path) if path and path[: len(places[0])] == places[0]]
        text = f"the longest backoff of {max_length} s is shorter than the first of {base} s"
        if own:
            check.mistake(own[0], f"{text}: write max_seconds of {base} or more")


def check_wanted(check: ConfigCheck) -> None:
    """Note what a workspace wants and cannot have.

    That is metrics without any series, and a lookback of 0 where nothing else says what is wanted.
    """
    for workspace in check.workspaces():
        units = _listed(check, workspace, "units", BUILT_IN.units)
        scopes = _listed(check, workspace, "scopes", BUILT_IN.scopes)
        metrics = wanted_metrics(check, workspace)
        if units is None or scopes is None or metrics is None:
            continue
        for path, choice in metrics:
            note_not_offered(check, path, choice, tuple(map(Unit, units)), tuple(map(Scope, scopes)))
            note_missing_members(check, workspace, path, METRICS[choice.name])
        if any(check.is_invalid((*workspace, key)) for key in ("apps", "segments")):
            continue
        _check_series(check, workspace, [(path, choice) for path, choice in metrics if not check.is_invalid(path)])


def _check_series(check: ConfigCheck, workspace: KeyPath, metrics: list[tuple[KeyPath, MetricChoice]]) -> None:
    """Every metric has a series, and each series has a date from which it is wanted."""
    unlimited: set[Unit] = set()
    wanted = {kind: _listed(check, workspace, kind, built_in) or [] for kind, built_in in _KINDS.items()}
    for path, choice in metrics:
        metric = METRICS[choice.name]
        scopes = metric.scopes_of(tuple(map(Scope, wanted["scopes"])), choice.scopes)
        starts = {scope: _starts(check, workspace, scope) for scope in scopes}
        if not any(starts.values()):
            _note_nothing(check, workspace, list(scopes), path if len(metrics) > 1 else None)
        elif not all(has_start for each in starts.values() for has_start in each):
            unlimited.update(metric.units_of(tuple(map(Unit, wanted["units"])), choice.units))
    if unlimited:
        _check_lookback(check, workspace, sorted(unlimited))


_KINDS: dict[str, tuple[Unit, ...] | tuple[Scope, ...]] = {"units": BUILT_IN.units, "scopes": BUILT_IN.scopes}


def _starts(check: ConfigCheck, workspace: KeyPath, scope: Scope) -> list[bool]:
    """For each series of the scope, whatever its unit, whether it has a start of its own."""
    apps, segments = (check.items((*workspace, key)) for key in ("apps", "segments"))
    match scope:
        case Scope.APP:
            return [check.has((*app, "start")) for app in apps]
        case Scope.WORKSPACE_SEGMENT:
            return [check.has((*segment, "start")) for segment in segments]
        case Scope.APP_SEGMENT:
            return _starts_of_pairs(check, apps, segments)
        case Scope.WORKSPACE:
            return [False]


def _starts_of_pairs(check: ConfigCheck, apps: list[KeyPath], segments: list[KeyPath]) -> list[bool]:
    started = {check.text((*segment, "name")): check.has((*segment, "start")) for segment in segments}
    pairs: list[bool] = []
    for app in apps:
        only = check.get((*app, "segments"))
        own = check.has((*app, "start"))
        names = started if only is None else only if isinstance(only, list) else []
        pairs += [own or started.get(name, True) for name in names if name is None or isinstance(name, str)]
    return pairs


def _note_nothing(check: ConfigCheck, workspace: KeyPath, scopes: list[Scope], metric: KeyPath | None) -> None:
    """`metric`: where the metric is written, if it is one of several."""
    apps, segments = (check.items((*workspace, key)) for key in ("apps", "segments"))
    wanted = []
    if not apps and any(scope.has_app for scope in scopes):
        wanted.append("apps")
    if not segments and Scope.APP not in scopes:
        wanted.append("segments")
    missing = " and ".join(wanted) or "segments to an app"
    listed = ", ".join(scopes)
    place = metric or (*workspace, wanted[0] if wanted else "scopes")
    check.mistake(place, f"nothing to collect for scopes [{listed}]: add {missing}, or the scope workspace")


def _check_lookback(check: ConfigCheck, workspace: KeyPath, units: list[Unit]) -> None:
    """Some series has no start of its own, so the workspace's start, or the lookback, must say what is wanted."""
    if first_path(check, (workspace, DEFAULTS), "start"):
        return
    off = []
    for unit in units:
        path = first_path(check, (workspace, DEFAULTS), "lookback", str(unit))
        if path and check.get(path) == 0:
            off.append(path)
    if off:
        path = off[0] if len(off) == 1 else off[0][:-1]
        check.mistake(
            path,
            "is 0, and there is no start, so that nothing is wanted of some series: write a start, or 1 or more here",
        )


def _listed(
    check: ConfigCheck, workspace: KeyPath, key: str, built_in: tuple[Unit, ...] | tuple[Scope, ...]
) -> list[str] | None:
    """The words of a list that the workspace has or inherits; None where the list is invalid."""
    path = first_path(check, (workspace, DEFAULTS), key)
    if path is None:
        return list(built_in)
    if not check.is_valid(path):
        return None
    return [text for item in check.items(path) if (text := check.text(item)) is not None]


_SCHEMES = {"endpoint": ("s3", "gs", "abfs"), "region": ("s3",), "profile": ("s3",), "account": ("abfs",)}
"""The kinds of lake that a key is for; the other keys are for all."""


def check_storage(check: ConfigCheck) -> None:
    """Note keys that are for another kind of lake."""
    lake = check.text(("lake",))
    if lake is None or not isinstance(check.get(("storage",)), dict):
        return
    scheme, separator, _ = lake.partition("://")
    if not separator:
        check.mistake(("storage",), "is for a lake in an object store: remove it, or write lake: s3://bucket/prefix")
        return
    for key, schemes in _SCHEMES.items():
        if check.has(("storage", key)) and scheme not in schemes:
            lakes = " or ".join(f"{each}://" for each in schemes)
            check.mistake(("storage", key), f"is for lakes in {lakes}, and this lake is in {scheme}://: remove it")
