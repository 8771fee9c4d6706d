"""The tables in the Glue catalog, by its API: for Athena, EMR, Redshift Spectrum and Trino, without a statement to run.

Definitions are those of `ddl --engine athena`, with partition projection, so there are no partitions to register. Views
are Athena's statements. Needs the extra `glue`, and AWS credentials by their usual places.

What `ddl` does: statements for an engine, or tables in a catalog by its API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.query.engines import get_engine
from collector.query.engines.engine import UnsupportedAddress, absent_tables, lake_location
from collector.query.engines.hive import HIVE_TYPES, Athena
from collector.query.refused import QueryRefused
from collector.query.views import ddl_statements, select

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from collector.config.settings import Config
    from collector.lake.store import Store
    from collector.lake.tables import Column, Table
    from collector.query.engines.engine import LakeLocation


_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
_COMMENT_LIMIT = 255
"""What Glue takes of a column's comment."""


def register(client: Any, database: str, tables: Iterable[Table], location: LakeLocation) -> Iterator[str]:
    """Create or update each table, and the database where there is none; tells what was done, a line each.

    client: boto3's for Glue, whose errors go through. Raises Undeclarable for a lake that is not on S3.
    """
    definitions = [definition_of(table, location) for table in tables]
    try:
        client.get_database(Name=database)
    except client.exceptions.EntityNotFoundException:
        client.create_database(DatabaseInput={"Name": database})
        yield f"created database {database}"
    for definition in definitions:
        try:
            client.update_table(DatabaseName=database, TableInput=definition)
            yield f"updated {database}.{definition['Name']}"
        except client.exceptions.EntityNotFoundException:
            client.create_table(DatabaseName=database, TableInput=definition)
            yield f"created {database}.{definition['Name']}"


def definition_of(table: Table, location: LakeLocation) -> dict[str, Any]:
    """A table as Glue takes it. Raises Undeclarable for a lake that is not on S3."""
    athena = Athena()
    return {
        "Name": table.name,
        "Description": table.comment,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **athena.properties(table, location)},
        "PartitionKeys": [_column(column) for column in table.partitions],
        "StorageDescriptor": {
            "Columns": [_column(column) for column in table.columns],
            "Location": athena.location(location, table) + "/",
            **_PARQUET,
        },
    }


def _column(column: Column) -> dict[str, str]:
    return {"Name": column.name, "Type": HIVE_TYPES[column.type], "Comment": column.comment[:_COMMENT_LIMIT]}


def create_statements(engine: str, config: Config, store: Store | None, names: Collection[str]) -> list[str]:
    """The statements. `store`: for DuckDB, which has to know which tables have files. Raises Refused, LakeError."""
    absent = absent_tables(store) if store is not None else frozenset()
    try:
        return list(ddl_statements(get_engine(engine), lake_location(config, absent), names))
    except UnsupportedAddress as error:
        raise QueryRefused(str(error)) from error


def register_in_glue(engine: str, config: Config, names: Collection[str], database: str) -> Iterator[str]:
    """Put the tables into the Glue catalog; tells what was done, a line each. Raises Refused."""
    if engine != "athena":
        raise QueryRefused("the Glue catalog takes Athena's definitions: write --engine athena --register glue")
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError as error:
        raise QueryRefused(
            "--register glue needs boto3: install it with pip install 'braze-session-collector[glue]'"
        ) from error
    from collector.lake.tables import TABLES

    location = lake_location(config)
    try:
        wanted = select(get_engine(engine), location, names)
        client = boto3.Session(config.storage.profile, config.storage.region).client("glue")
        yield from register(client, database, [table for table in TABLES if table.name in wanted], location)
    except UnsupportedAddress as error:
        raise QueryRefused(str(error)) from error
    except (BotoCoreError, ClientError) as error:
        raise QueryRefused(f"the Glue catalog did not take it: {error}") from error
