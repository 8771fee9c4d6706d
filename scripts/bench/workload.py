"""What is asked for: the series, the body that answers each of them, and the collector's config for them.

A constant body serves one window a series. So the config pins `lookback` to it, runs pin `--as-of`, and there are as
many series as requests: apps times segments, by the hour.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

AS_OF = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
POINTS = 100
SEGMENTS = 250
"""Of each app: requests are a multiple of it. The peers' programs reckon with it too."""
KEY = "bench-key"
ENVIRONMENT = {"BENCH_KEY": KEY}
UNBOUND = "{per_second: 10000, per_hour: 100000000, reserve: 0}"


def body() -> bytes:
    """An answer of 100 hours, the newest closed ones at AS_OF: 5.3 KB."""
    hour = AS_OF.replace(minute=0)
    times = [(hour - timedelta(hours=POINTS - number)).strftime("%Y-%m-%dT%H:%M:%SZ") for number in range(POINTS)]
    data = [{"time": time, "sessions": 1000 + number * 7919 % 997} for number, time in enumerate(times)]
    return json.dumps({"message": "success", "data": data}).encode()


def one_window_each(folder: Path, url: str, requests: int) -> Path:
    """A config that asks for one window of each of so many series."""
    if requests % SEGMENTS:
        raise SystemExit(f"{requests} requests: say a multiple of {SEGMENTS}")
    keys = f"units: [hour], scopes: [app_segment], lookback: {{hour: {POINTS}}}, rate_limit: {UNBOUND}, concurrency: 32"
    return config(folder, url, keys, requests // SEGMENTS, SEGMENTS)


def config(folder: Path, url: str, defaults: str, apps: int, segments: int, zone: str = "UTC") -> Path:
    """A config of one workspace; `defaults` are keys as YAML has them in braces."""
    lines = [
        "lake: ./lake",
        f"defaults: {{{defaults}}}",
        "workspaces:",
        f"  - {{name: acme, endpoint: '{url}', api_key: '${{BENCH_KEY}}', timezone: {zone},",
        "     apps: [" + ", ".join(f"{{name: app{number}, id: a{number}}}" for number in range(apps)) + "],",
        "     segments: ["
        + ", ".join(f"{{name: segment{number}, id: s{number}}}" for number in range(segments))
        + "]}",
    ]
    file = folder / "collector.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


def _members(name: str, letter: str, count: int) -> str:
    return ", ".join(f"{{name: {name}{number}, id: {letter}{number}}}" for number in range(count))
