from __future__ import annotations

import io

import pytest

from collector.config.settings import RateLimit
from collector.model import Reason, Unit
from collector.show.plan import plan_report, print_plan
from tests.show.samples import Terminal, make_series, make_window, make_workspace

SMALL = RateLimit(per_hour=10, reserve=0.2, per_second=2)
HOURS = make_series(unit=Unit.HOUR)


def squeezed(line: str) -> str:
    return " ".join(line.split())


def test_the_report_is_what_the_contract_names() -> None:
    """Requests and rows add up, the duration is the longest workspace's, each reason is there, shares are fractions."""
    acme = [make_window(), make_window(HOURS, length=100, reason=Reason.GAP)]
    globex = [make_window(reason=Reason.LOOKBACK, length=14) for _ in range(9)]
    report = plan_report([(make_workspace("acme", RateLimit(1000)), acme), (make_workspace("globex", SMALL), globex)])
    assert report.as_json() == {
        "requests": 11,
        "rows": 10 + 100 + 9 * 14,
        "estimated_seconds": pytest.approx(3600.5),
        "by_reason": {"new": 1, "gap": 1, "lookback": 9, "forced": 0},
        "workspaces": [
            {"name": "acme", "requests": 2, "pool_share": 0.002, "estimated_seconds": pytest.approx(0.02)},
            {"name": "globex", "requests": 9, "pool_share": 0.9, "estimated_seconds": pytest.approx(3600.5)},
        ],
    }


def test_an_empty_plan_has_all_members() -> None:
    """Where nothing is wanted, every member of the report is there, and the page says so in one line."""
    report = plan_report([])
    assert report.as_json()["by_reason"] == {"new": 0, "gap": 0, "lookback": 0, "forced": 0}
    assert report.as_json()["estimated_seconds"] == 0
    out = io.StringIO()
    print_plan(plan_report([(make_workspace(), [])]), out)
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().startswith("nothing to do")


def test_the_table_tells_reasons_cost_and_span() -> None:
    """A reader sees the windows by reason, rows, share, duration, the oldest and newest bucket, and what to do."""
    windows = [make_window(length=100, reason=Reason.FORCED) for _ in range(1500)] + [make_window(HOURS, length=24)]
    out = io.StringIO()
    print_plan(plan_report([(make_workspace(), windows), (make_workspace("idle"), [])]), out)
    head, acme, idle, total, *rest = out.getvalue().splitlines()
    assert squeezed(head) == "workspace new gap lookback forced requests rows of the hour's pool about"
    assert squeezed(acme) == "acme 1 0 0 1,500 1,501 150,024 0.6% 15 s"
    assert squeezed(idle) == "idle 0 0 0 0 0 0 - -"
    assert squeezed(total) == "all 1 0 0 1,500 1,501 150,024 15 s"
    assert "days from 2026-11-01 to 2027-02-08" in rest
    assert "hours from 2026-11-01T00:00:00Z to 2026-11-01T23:00:00Z" in rest
    assert "`collector run`" in rest[-1]


def test_a_plan_beyond_the_hourly_allowance_says_how_many_hours() -> None:
    """9 requests at 8 an hour take a second hour; 8 need no warning."""
    out, within = io.StringIO(), io.StringIO()
    print_plan(plan_report([(make_workspace(rate_limit=SMALL), [make_window()] * 9)]), out)
    print_plan(plan_report([(make_workspace(rate_limit=SMALL), [make_window()] * 8)]), within)
    assert "9 requests are more than the 8 that its pool allows in an hour: they take 2 hours" in out.getvalue()
    assert "hours;" not in within.getvalue()


def test_a_terminal_gets_colour_and_the_same_words() -> None:
    """Colour adds escapes and nothing else; a file gets none."""
    report = plan_report([(make_workspace(rate_limit=SMALL), [make_window()] * 9)])
    terminal, file = Terminal(), io.StringIO()
    print_plan(report, terminal)
    print_plan(report, file)
    assert "\x1b" not in file.getvalue()
    assert "9 requests are more than" in terminal.getvalue()
