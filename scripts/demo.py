"""`make demo`: the simulated API, a first run, queries, a second run with nothing to do, and the run of the next night.

Everything runs on this machine. The stand-in is started on a free port and always stopped at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "demo-lake"
LAKE = FOLDER / "lake"
CONFIG = FOLDER / "demo.yaml"
KEYS = {"DEMO_KEY_ACME": "a-key-for-acme", "DEMO_KEY_GLOBEX": "a-key-for-globex"}
COLLECTOR = [sys.executable, "-m", "collector", "--config", str(CONFIG)]

QUERIES = {
    "Sessions by app, the last three days": """
        SELECT workspace, date, app, sessions
        FROM read_parquet('{lake}/sessions_app_daily/**/*.parquet')
        WHERE date >= (SELECT max(date) - 2 FROM read_parquet('{lake}/sessions_app_daily/**/*.parquet'))
        ORDER BY workspace, app, date""",
    "The busiest hours of acme's ios app, UTC": """
        SELECT hour(hour) AS hour_utc, round(avg(sessions)) AS sessions
        FROM read_parquet('{lake}/sessions_app_hourly/**/*.parquet')
        WHERE workspace = 'acme' AND app = 'ios' GROUP BY 1 ORDER BY 2 DESC LIMIT 3""",
    "What is covered, by table": """
        SELECT workspace, scope, unit, count(*) AS spans, min(first_start) AS first, max(last_end) AS last
        FROM read_parquet('{lake}/coverage/**/*.parquet') GROUP BY ALL ORDER BY ALL""",
}
RESTATED = """
        SELECT workspace, app, date, old_value::BIGINT AS old, new_value::BIGINT AS new, revision
        FROM read_parquet('{lake}/restatements/**/*.parquet')
        WHERE metric = 'sessions' AND scope = 'app' AND unit = 'day' ORDER BY workspace, date DESC, app LIMIT 5"""


def main() -> None:
    """Show the product, step by step."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    os.environ.update(KEYS)
    now = datetime.now(UTC).replace(microsecond=0)
    with stand_in() as url:
        step("What would the first run request? `plan` sends nothing.", "plan", "--as-of", now.isoformat())
        step("The first run.", "run", "--as-of", now.isoformat())
        for title, query in QUERIES.items():
            show(title, query)
        step(
            "The same run again: the lake is complete, so there is nothing to do.",
            "run",
            "--as-of",
            now.isoformat(),
        )
        tomorrow = now + timedelta(days=1)
        urllib.request.urlopen(  # noqa: S310  # this machine's own stand-in
            urllib.request.Request(f"{url}/_simulator/now?at={tomorrow:%Y-%m-%dT%H:%M:%SZ}", method="PUT")  # noqa: S310
        ).close()
        step(
            "A day later: new buckets, and late sessions that restate recent days.",
            "run",
            "--as-of",
            tomorrow.isoformat(),
        )
        show("Days that were restated, newest first", RESTATED)
    lake, config = LAKE.relative_to(ROOT), CONFIG.relative_to(ROOT)
    say(f"Done. The lake is {lake}/, for any engine that reads Parquet; the config that made it is {config}.")


@contextmanager
def stand_in() -> Iterator[str]:
    """Serve the simulated API while the block runs; yields its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    text = (ROOT / "config/demo.yaml").read_text()
    CONFIG.write_text(text.replace("http://127.0.0.1:8787", url).replace("lake: ../demo-lake", "lake: ./lake"))
    arguments = ["simulate", "--port", str(port), "--latency", "5-25"]
    say("The simulated API, on this machine.", arguments)
    with subprocess.Popen([*COLLECTOR, *arguments], stderr=subprocess.PIPE) as server:
        try:
            wait_for(url, server)
            yield url
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(10)


def free_port() -> int:
    """A free port of this machine."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the stand-in answers; ends the demo if it does not start."""
    for _ in range(200):
        if server.poll() is not None:
            sys.exit(f"the simulated API did not start: {server.stderr.read().decode() if server.stderr else ''}")
        try:
            urllib.request.urlopen(f"{url}/_simulator/stats").close()  # noqa: S310  # this machine's own stand-in
        except urllib.error.URLError:
            time.sleep(0.05)
        else:
            return
    sys.exit("the simulated API did not answer within ten seconds")


def step(title: str, *arguments: str) -> None:
    """Run the collector as a user would."""
    say(title, arguments)
    code = subprocess.run([*COLLECTOR, *arguments], check=False).returncode
    if code:
        sys.exit(f"collector ended with {code}")


def show(title: str, query: str) -> None:
    """Print the result of a query in DuckDB."""
    say(title)
    print(duckdb.sql(query.format(lake=LAKE)))


def say(title: str, arguments: Sequence[str] = ()) -> None:
    """Print a heading, and the command below it."""
    print(f"\n== {title}", flush=True)
    if arguments:
        print(f"   $ collector --config {CONFIG.relative_to(ROOT)} {' '.join(arguments)}", flush=True)


if __name__ == "__main__":
    main()
