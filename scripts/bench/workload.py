"""The requests of the bench: the series, the constant body of their answers, and the collector's config.

A constant body can answer one window per series. Therefore the config pins `lookback` to that window, runs pin
`--as-of`, and there are as many hourly series as requests: apps times segments.
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
"""Segments of each app. The number of requests is a multiple of it; the peers' programs assume it too."""
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
    """A config with this number of series, and one window for each."""
    if requests % SEGMENTS:
        raise SystemExit(f"{requests} requests: write a multiple of {SEGMENTS}")
    keys = f"units: [hour], scopes: [app_segment], lookback: {{hour: {POINTS}}}, rate_limit: {UNBOUND}, concurrency: 32"
    return config(folder, url, keys, requests // SEGMENTS, SEGMENTS)


def config(folder: Path, url: str, defaults: str, apps: int, segments: int, zone: str = "UTC") -> Path:
    """A config of one workspace; `defaults` are YAML keys, as written inside braces."""
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
