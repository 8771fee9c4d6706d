from __future__ import annotations

import csv
import io
from datetime import date
from typing import TYPE_CHECKING

from click.testing import CliRunner

from collector.cli.main import cli
from tests.stores.bucket_site import BucketSite
from tests.support.builders import NOW
from tests.support.night import make_apps

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.place import Place


def test_sql_reads_a_lake_in_a_bucket(tmp_path: Path, bucket: Place) -> None:
    """`collector sql` reads the true rows from the bucket, through the store, by table and by view."""
    site = BucketSite(tmp_path, bucket, {"name": "acme", "apps": make_apps(2)}, units=["day"], start="2026-09-20")

    def sql(statement: str) -> list[dict[str, str]]:
        command = ["-c", str(site.night.config), "sql", statement, "--format", "csv"]
        answer = CliRunner().invoke(cli, command, env={"KEY_ACME": None})
        assert answer.exit_code == 0, answer.stderr
        return list(csv.DictReader(io.StringIO(answer.stdout)))

    with site.served():
        assert site.night.run(NOW).exit_code == 0
    for name in ("sessions_app_daily", "app_days"):
        rows = sql(f"SELECT app_id, date, sessions FROM {name}")
        found = {
            ("acme", "app", "day", row["app_id"], None, date.fromisoformat(row["date"]), int(row["sessions"]))
            for row in rows
        }
        assert found == site.truth()
    october = sql("SELECT count(*) AS days, min(date) AS first FROM app_days WHERE month = DATE '2026-10-01'")
    assert october == [{"days": "62", "first": "2026-10-01"}]
    assert sql("SELECT count(*) AS rows FROM restatements") == [{"rows": "0"}]
