"""The truth under the names that people use: `acme/ios/vip/day`, dates, labels of buckets.

In: a simulation, names or ids. Out: rows with the labels that the lake's own buckets have. ValueError on a mistake.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from collector.calendar import closed_stop, day_number, label, span_of_dates
from collector.model import Span, Unit
from collector.simulator.questions import key_of, read_instant
from collector.simulator.simulation import truth_rows
from collector.simulator.traffic import hours_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.config.settings import App, Segment
    from collector.model import SeriesKey
    from collector.simulator.simulation import Simulation
    from collector.simulator.sites import Site

_ALL = ("", "-", None)
_DEFAULT_DAYS = 14


def series_of(
    simulation: Simulation, workspace: str, app: str | None, segment: str | None, unit: str
) -> tuple[Site, SeriesKey]:
    """The series under names or ids; None, an empty text or `-` for an app or segment means all."""
    names = [site.name for site in simulation.sites.values()]
    if workspace not in names:
        raise ValueError(f"no workspace is called {workspace!r}; there are: {', '.join(names)}")
    if unit not in tuple(Unit):
        raise ValueError(f"{unit!r} is no unit: write day or hour")
    site = simulation.site(workspace)
    apps = [one for one in site.workspace.apps if one.id in site.traffic]
    app_id = None if app in _ALL else _id_of("app", str(app), apps)
    segment_id = None if segment in _ALL else _id_of("segment", str(segment), site.segments.values())
    return site, key_of(Unit(unit), app_id, segment_id)


def read_series(simulation: Simulation, text: str) -> tuple[Site, SeriesKey]:
    """The series in `workspace/app/segment/unit`, where `-` is all apps or all users."""
    parts = text.split("/")
    if len(parts) != 4:
        raise ValueError(f"{text!r}: write WORKSPACE/APP/SEGMENT/UNIT, such as acme/ios/-/day (- is all)")
    return series_of(simulation, parts[0], parts[1], parts[2], parts[3])


def named_span(site: Site, unit: Unit, first: str | None, last: str | None, at: datetime) -> Span:
    """The buckets of the local dates `first` to `last`, both included; by default the 14 days up to `at`."""
    today = at.astimezone(site.zone).date()
    end = _date(last) if last else today
    begin = _date(first) if first else end - timedelta(days=_DEFAULT_DAYS - 1)
    if end < begin:
        raise ValueError(f"the span ends ({end}) before it begins ({begin})")
    # Nothing is told of the future, so a far end need not be walked to.
    begun = closed_stop(unit, at, timedelta(0), site.zone) + 1
    return span_of_dates(unit, begin, end, site.zone) & Span(0, begun)


def truth_lines(
    simulation: Simulation, site: Site, key: SeriesKey, span: Span, at: datetime
) -> Iterator[tuple[str, int]]:
    """(label, sessions) of the buckets that the API would report at the instant."""
    return ((label(key.unit, bucket), count) for bucket, count in truth_rows(simulation, site.name, key, span, at))


def bucket_at(unit: Unit, text: str) -> int:
    """The bucket that a label names: `2026-11-01`, or `2026-11-01T05:00:00Z`."""
    if unit is Unit.DAY:
        return day_number(_date(text))
    hours = hours_of(read_instant(text.replace(" ", "+")))
    if not hours.is_integer():
        raise ValueError(f"{text!r} is not on the hour")
    return int(hours)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date: write it as 2026-11-01") from None


def _id_of(what: str, name: str, things: Iterable[App] | Iterable[Segment]) -> str:
    known: list[App | Segment] = list(things)
    for thing in known:
        if name in (thing.name, thing.id):
            return thing.id
    raise ValueError(f"no {what} is called {name!r}; there are: {', '.join(thing.name for thing in known) or 'none'}")
