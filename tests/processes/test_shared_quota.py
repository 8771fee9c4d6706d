from __future__ import annotations

from typing import TYPE_CHECKING

from collector.simulator.options import Options, PoolOptions
from tests.processes.watched_quota import others_spend, watch
from tests.support.night import make_apps, make_segments
from tests.support.site import Site

if TYPE_CHECKING:
    from pathlib import Path

LIMIT, PERIOD, RESERVED = 400, 3, 80
POOL = PoolOptions(limit=LIMIT, period_seconds=PERIOD)


def make_site(folder: Path, segments: int, pool: PoolOptions = POOL, per_second: int = 400) -> Site:
    """A series for each app and segment by day, one window each; a fifth of the quota is reserved for other clients."""
    members = {"apps": make_apps(10), "segments": make_segments(segments)}
    rate = {"per_second": per_second, "reserve": RESERVED / LIMIT}
    options = Options(pool=pool, latency_ms=(2, 10))
    workspace = {"name": "acme", "units": ["day"], "rate_limit": rate, "concurrency": 8, **members}
    return Site(folder, workspace, options=options, start="2026-11-20")


def test_a_quota_is_used_down_to_its_reserve(tmp_path: Path) -> None:
    """Other clients use it too: more than 95 % of what may be used is used, and nothing of the reserve.

    The best period counts: on a busy machine another one may end before all of it could be sent.
    """
    site = make_site(tmp_path, 109)
    quota = watch(site)
    with site.served(), others_spend(site, every=0.05), site.run() as program:
        assert program.wait() == 0
    assert site.night.rows() == site.truth()
    periods = quota.complete_periods()
    shares = [period.taken / (period.taken + period.left - RESERVED) for period in periods]
    late = max(period.first_after for period in periods)
    print(f"\n{len(periods)} periods: used {min(shares):.1%} to {max(shares):.1%}, began {late:.2f} s late at most")  # noqa: T201
    assert len(periods) >= 2
    assert min(period.left for period in quota.periods.values()) >= RESERVED
    assert sum(period.refused for period in quota.periods.values()) == 0
    assert max(shares) > 0.95


def test_a_quota_that_others_use_up_costs_a_handful_of_429s(tmp_path: Path) -> None:
    """Requests in flight are refused once; then nothing is sent before the reset, and all is answered after it."""
    site = make_site(tmp_path, 59)
    quota = watch(site)
    with site.served(), site.run() as program:
        for taken in (60, 320):
            program.until(lambda: site.answered() >= taken)  # noqa: B023  # called at once
            site.simulation.spend("acme", LIMIT)
        assert program.wait() == 0
    assert site.night.rows() == site.truth()
    refused = sum(period.refused for period in quota.periods.values())
    print(f"\n{refused} answers of 429 for {site.simulation.request_log.requests} requests")  # noqa: T201
    assert refused <= 2 * 8
    assert program.report["failures"] == []


def test_a_deadline_ends_a_run_that_waits_for_its_quota(tmp_path: Path) -> None:
    """The quota is used up until the next hour, the deadline is earlier: exit 3 in time, with each answer landed."""
    site = make_site(tmp_path, 59, PoolOptions(limit=LIMIT))
    with site.served():
        with site.run("--deadline", "5s") as program:
            assert program.wait() == 3
        report = program.report
        assert 0 < report["windows_ok"] == site.answered() <= LIMIT - RESERVED
        assert (report["windows_failed"], report["exit_code"]) == (0, 3)
        assert report["windows_ok"] + report["windows_skipped"] == 600
        assert report["rows_added"] == len(site.night.rows())
        assert "paused until" in program.stderr
        assert "the deadline was reached" in program.stderr
        site.simulation.workspace("acme").quota.refill()
        with site.run("--deadline", "5s") as program:
            program.wait()
        assert site.night.rows() == site.truth()


def test_a_deadline_ends_a_run_that_is_slow(tmp_path: Path) -> None:
    """Newest buckets first, as many as there is time for; nothing is lost, and nothing is requested twice."""
    members = {"apps": make_apps(2), "concurrency": 2}
    site = Site(tmp_path, {"name": "acme", **members}, options=Options(latency_ms=(50, 50)), start="2025-09-01")
    with site.served():
        with site.run("--deadline", "4s") as program:
            assert program.wait() == 3
        done = program.report["windows_ok"]
        assert 0 < done == site.answered()
        assert program.report["windows_failed"] == 0
        with site.run() as program:
            assert program.wait() == 0
        assert site.answered() == done + program.report["requests"]
        assert site.night.rows() == site.truth()
