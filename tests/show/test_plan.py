from __future__ import annotations

import io
import re

import pytest

from collector.config.settings import RateLimit
from collector.model import Reason, Unit
from collector.show.plan import plan_report, print_plan
from tests.show.samples import Terminal, make_series, make_window, make_workspace

SMALL = RateLimit(per_hour=10, reserve=0.2, per_second=2)
HOURS = make_series(unit=Unit.HOUR)


def squeezed(line: str) -> str:
    return " ".join(line.split())


def test_the_json_report_has_the_members_of_the_contract() -> None:
    """Requests and rows add up, the duration is the longest workspace's, each reason is there, shares are fractions."""
    acme = [make_window(), make_window(HOURS, length=100, reason=Reason.GAP)]
    globex = [make_window(reason=Reason.LOOKBACK, length=14) for _ in range(9)]
    report = plan_report(
        [(make_workspace("acme", RateLimit(1000)), acme, 3), (make_workspace("globex", SMALL), globex, 4)]
    )
    assert report.as_json() == {
        "requests": 11,
        "rows": 10 + 100 + 9 * 14,
        "estimated_seconds": pytest.approx(3600.5),
        "by_reason": {"new": 1, "gap": 1, "lookback": 9, "forced": 0},
        "nightly_requests": 7,
        "workspaces": [
            {
                "name": "acme",
                "requests": 2,
                "estimated_seconds": pytest.approx(0.02),
                "nightly_requests": 3,
                "quotas": [{"name": "shared", "requests": 2, "share": 0.002}],
            },
            {
                "name": "globex",
                "requests": 9,
                "estimated_seconds": pytest.approx(3600.5),
                "nightly_requests": 4,
                "quotas": [{"name": "shared", "requests": 9, "share": 0.9}],
            },
        ],
    }


def test_an_empty_plan_has_all_members() -> None:
    """A plan without windows has every JSON member, and is one line of text."""
    report = plan_report([])
    assert report.as_json()["by_reason"] == {"new": 0, "gap": 0, "lookback": 0, "forced": 0}
    assert report.as_json()["estimated_seconds"] == 0
    out = io.StringIO()
    print_plan(plan_report([(make_workspace(), [], 0)]), out)
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().startswith("nothing to do")


def test_the_table_shows_reasons_cost_and_span() -> None:
    """The table has windows by reason, rows, share of the quota and time; below it are the oldest and newest bucket."""
    windows = [make_window(length=100, reason=Reason.FORCED) for _ in range(1500)] + [make_window(HOURS, length=24)]
    out = io.StringIO()
    print_plan(plan_report([(make_workspace(), windows, 7), (make_workspace("idle"), [], 0)]), out)
    head, acme, idle, total, *rest = out.getvalue().splitlines()
    assert squeezed(head) == "workspace new gap lookback forced requests rows of quota time"
    assert squeezed(acme) == "acme 1 0 0 1,500 1,501 150,024 0.6% 15 s"
    assert squeezed(idle) == "idle 0 0 0 0 0 0 - -"
    assert squeezed(total) == "all 1 0 0 1,500 1,501 150,024 15 s"
    assert "days from 2026-11-01 to 2027-02-08" in rest
    assert "hours from 2026-11-01T00:00:00Z to 2026-11-01T23:00:00Z" in rest
    assert "`collector run`" in rest[-1]


def test_a_plan_beyond_the_hourly_allowance_says_how_many_hours() -> None:
    """9 requests at 8 an hour take a second hour; 8 give no warning."""
    out, within = io.StringIO(), io.StringIO()
    print_plan(plan_report([(make_workspace(rate_limit=SMALL), [make_window()] * 9, 9)]), out)
    print_plan(plan_report([(make_workspace(rate_limit=SMALL), [make_window()] * 8, 8)]), within)
    assert all(part in out.getvalue() for part in ("9 requests", "(8, without the reserve)", "2 hours"))
    assert "reserve" not in within.getvalue()


def test_a_terminal_gets_colour_and_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets escape codes and the same text. A file gets none, nor does a terminal with NO_COLOR."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    report = plan_report([(make_workspace(rate_limit=SMALL), [make_window()] * 9, 9)])
    terminal, plain_terminal, file = Terminal(), Terminal(), io.StringIO()
    print_plan(report, terminal)
    print_plan(report, file)
    monkeypatch.setenv("NO_COLOR", "1")
    print_plan(report, plain_terminal)
    assert "\x1b[" in terminal.getvalue()
    assert re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()) == file.getvalue()
    assert plain_terminal.getvalue() == file.getvalue()
