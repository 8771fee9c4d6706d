from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import CliRunner, Result

from collector.cli.main import cli
from collector.lake.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.night import Night

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
    """A Glue catalog of moto's, in this process, and a client to it."""
    moto = pytest.importorskip("moto", reason="moto is not installed: pip install -e '.[dev]'")
    for name, value in AWS.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with moto.mock_aws():
        yield boto3.client("glue")


def register(night: Night, *arguments: str) -> Result:
    """Put its tables into the catalog, as on S3."""
    given = ["--engine", "athena", "--lake", "s3://bucket/prefix", "--register", "glue", "--database", "analytics"]
    return CliRunner().invoke(cli, ["-c", str(night.config), "ddl", *given, *arguments], env=AWS)


def test_tables_are_created_and_then_updated(glue: Any, night: Night) -> None:
    """The first time all eleven tables are created, in a database that was not there; the second time updated."""
    first = register(night)
    assert (first.exit_code, first.stdout.count("created analytics.")) == (0, 11)
    assert register(night).stdout.count("updated analytics.") == 11
    found = {table["Name"]: table for table in glue.get_tables(DatabaseName="analytics")["TableList"]}
    assert set(found) == {table.name for table in TABLES}
    for table in TABLES:
        there = found[table.name]
        columns = there["StorageDescriptor"]["Columns"]
        assert [column["Name"] for column in columns] == [column.name for column in table.columns]
        assert all(column["Comment"] for column in [*columns, *there["PartitionKeys"]])
        assert [key["Name"] for key in there["PartitionKeys"]] == [column.name for column in table.partitions]
        assert there["StorageDescriptor"]["Location"] == f"s3://bucket/prefix/{table.name}/"
        assert there["Parameters"]["projection.workspace.values"] == "acme,globex"


def test_a_table_alone_is_registered(glue: Any, night: Night) -> None:
    """--table names what is registered."""
    assert register(night, "--table", "coverage").exit_code == 0
    assert [table["Name"] for table in glue.get_tables(DatabaseName="analytics")["TableList"]] == ["coverage"]


def test_what_glue_cannot_take_is_refused(glue: Any, night: Night) -> None:
    """Another engine's definitions, or a lake that is not on S3: one line, exit 2, and nothing is created."""
    for arguments in (("--engine", "trino"), ("--lake", "gs://bucket")):
        refused = register(night, *arguments)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert glue.get_databases()["DatabaseList"] == []
