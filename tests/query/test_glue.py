from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import CliRunner, Result

from collector.cli.main import cli
from collector.lake.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.night import Night

AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_PROFILE": None,
    "KEY_ACME": None,
    "KEY_GLOBEX": None,
}


@pytest.fixture
def glue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a Glue catalog that moto simulates in this process."""
    moto = pytest.importorskip("moto", reason="moto is not installed: pip install -e '.[dev]'")
    for name, value in AWS.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with moto.mock_aws():
        yield boto3.client("glue")


def register(night: Night, *arguments: str) -> Result:
    """Register the tables, as if the lake were on S3."""
    given = ["--engine", "athena", "--lake", "s3://bucket/prefix", "--register", "glue", "--database", "analytics"]
    return CliRunner().invoke(cli, ["-c", str(night.config), "ddl", *given, *arguments], env=AWS)


def test_tables_are_created_and_then_updated(glue: Any, night: Night) -> None:
    """The first call creates the database and every table; the second updates the tables."""
    first = register(night)
    assert (first.exit_code, first.stdout.count("created analytics.")) == (0, len(TABLES))
    assert register(night).stdout.count("updated analytics.") == len(TABLES)
    found = {table["Name"]: table for table in glue.get_tables(DatabaseName="analytics")["TableList"]}
    assert set(found) == {table.name for table in TABLES}
    for table in TABLES:
        created = found[table.name]
        columns = created["StorageDescriptor"]["Columns"]
        assert [column["Name"] for column in columns] == [column.name for column in table.columns]
        assert all(column["Comment"] for column in [*columns, *created["PartitionKeys"]])
        assert [key["Name"] for key in created["PartitionKeys"]] == [column.name for column in table.partitions]
        assert created["StorageDescriptor"]["Location"] == f"s3://bucket/prefix/{table.name}/"
        assert created["Parameters"]["projection.workspace.values"] == "acme,globex"


def test_one_table_is_registered(glue: Any, night: Night) -> None:
    """With --table, only that table is registered."""
    assert register(night, "--table", "coverage").exit_code == 0
    assert [table["Name"] for table in glue.get_tables(DatabaseName="analytics")["TableList"]] == ["coverage"]


def test_other_engines_and_stores_are_refused(glue: Any, night: Night) -> None:
    """Another engine, or a lake that is not on S3: one line, exit code 2, and nothing is created."""
    for arguments in (("--engine", "trino"), ("--lake", "gs://bucket")):
        refused = register(night, *arguments)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert glue.get_databases()["DatabaseList"] == []
