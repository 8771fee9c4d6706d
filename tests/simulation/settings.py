"""The config of a month and how it changes from night to night, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from collector.config.settings import App, Config, RateLimit, Retry, Secret, Segment, Workspace
from collector.model import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_MONTHS = (
    (date(2026, 2, 25), ("America/New_York", "UTC", "America/Havana")),
    (date(2026, 3, 20), ("Europe/Berlin", "America/Santiago", "Asia/Kolkata", "Australia/Lord_Howe")),
    (date(2026, 8, 24), ("America/Santiago", "Asia/Kolkata", "Africa/Cairo")),
    (date(2026, 10, 19), ("America/New_York", "Europe/Berlin", "Africa/Cairo", "America/Havana")),
)
"""First nights, and zones of which most turn their clocks in the thirty days that follow."""

_SCOPES = ((Scope.APP,), (Scope.APP, Scope.APP_SEGMENT), (Scope.WORKSPACE,), tuple(Scope))
_UNITS = ((Unit.DAY,), (Unit.HOUR,), (Unit.DAY, Unit.HOUR))
_SPARE = 2
"""Apps that the API knows and the config may come to name."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The first night, the workspaces as the config has them at first, and as the API knows them: with all apps."""

    first_night: date
    workspaces: tuple[Workspace, ...]
    known: tuple[Workspace, ...]

    @property
    def config(self) -> Config:
        """The config of the first night."""
        return Config("memory", self.workspaces)


def draw_setting(rng: Random) -> Setting:
    """A month."""
    first_night, zones = rng.choice(_MONTHS)
    count = rng.choices((1, 2, 3), (15, 4, 1))[0]
    known = tuple(_workspace(rng, f"w{number}", ZoneInfo(rng.choice(zones)), first_night) for number in range(count))
    return Setting(first_night, tuple(replace(one, apps=one.apps[:-_SPARE]) for one in known), known)


def _workspace(rng: Random, name: str, zone: ZoneInfo, first_night: date) -> Workspace:
    apps = tuple(App(f"app{number}", f"{name}-app-{number}") for number in range(rng.choice((1, 1, 1, 2)) + _SPARE))
    segments = tuple(Segment(f"seg{number}", f"{name}-seg-{number}") for number in range(rng.choice((0, 1, 1, 2))))
    scopes = rng.choices(_SCOPES, (10, 4, 4, 1))[0]
    return Workspace(
        name,
        "https://rest.test",
        zone,
        Secret(f"key-of-{name}"),
        apps,
        segments,
        units=rng.choice(_UNITS),
        scopes=scopes,
        start=rng.choice((None, first_night - timedelta(days=rng.choice((0, 3, 12, 40))))),
        lookback=_lookback(rng),
        settle=timedelta(minutes=rng.choice((0, 10, 90))),
        refresh_after=timedelta(hours=rng.choice((1, 6, 6, 30))),
        rate_limit=RateLimit(per_hour=1000, reserve=rng.choice((0.0, 0.2)), per_second=rng.choice((5.0, 100.0))),
        concurrency=rng.choice((1, 2, 8)),
        retry=Retry(attempts=rng.choice((1, 3)), base_seconds=0.5, max_seconds=4.0),
        timeout_seconds=rng.choice((4.0, 30.0)),
    )


def _lookback(rng: Random) -> dict[Unit, int]:
    return {Unit.DAY: rng.choice((0, 1, 3, 3, 14)), Unit.HOUR: rng.choice((0, 1, 24, 60, 60))}


def change(rng: Random, config: Config, known: tuple[Workspace, ...], drawn: date) -> Config:
    """The config with one change to one workspace, as its owners make them."""
    place = rng.randrange(len(config.workspaces))
    before = config.workspaces[place]
    changed = rng.choice(_CHANGES)(rng, before, known[place], drawn)
    if not changed.apps:
        changed = before
    return replace(config, workspaces=(*config.workspaces[:place], changed, *config.workspaces[place + 1 :]))


def _add_app(rng: Random, one: Workspace, known: Workspace, drawn: date) -> Workspace:
    named = {app.id for app in one.apps}
    added = [app for app in known.apps if app.id not in named][:1]
    return replace(one, apps=(*one.apps, *added))


def _rename_app(rng: Random, one: Workspace, known: Workspace, drawn: date) -> Workspace:
    return _each_app(rng, one, lambda app: replace(app, name=f"{app.name}x"))


def _retire_app(rng: Random, one: Workspace, known: Workspace, drawn: date) -> Workspace:
    return _each_app(rng, one, lambda app: replace(app, end=drawn - timedelta(days=rng.randrange(5))))


def _drop_app(rng: Random, one: Workspace, known: Workspace, drawn: date) -> Workspace:
    return replace(one, apps=one.apps[1:])


def _change_segments(rng: Random, one: Workspace, known: Workspace, drawn: date) -> Workspace:
    return replace(one, segments=known.segments if len(one.segments) < len(known.segments) else one.segments[1:])


def _move_start(rng: Random, one: Workspace, known: Workspace, drawn: date) -> Workspace:
    return replace(one, start=(one.start or drawn) - timedelta(days=rng.randrange(1, 12)))


def _change_lookback(rng: Random, one: Workspace, known: Workspace, drawn: date) -> Workspace:
    return replace(one, lookback=_lookback(rng))


def _each_app(rng: Random, one: Workspace, change_one: Callable[[App], App]) -> Workspace:
    chosen = rng.randrange(max(1, len(one.apps)))
    return replace(one, apps=tuple(change_one(app) if at == chosen else app for at, app in enumerate(one.apps)))


_CHANGES = (_add_app, _add_app, _rename_app, _retire_app, _drop_app, _change_segments, _move_start, _change_lookback)
