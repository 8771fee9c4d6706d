"""The lake's tables in the AWS Glue catalog: for Athena, EMR, Redshift Spectrum and Trino, without a statement to run.

In: the config and table names. Out: one line for each table that was created or updated. The definitions are those of
`ddl --engine athena`: partitions are projected, so none has to be registered. Views are not registered.
Requires the extra `glue`, and AWS credentials in one of the usual places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.lake.tables import TABLES
from collector.query import QueryRefused
from collector.query.engines.engine import lake_location
from collector.query.engines.hive import HIVE_TYPES, Athena
from collector.query.views import select

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from collector.config.settings import Config
    from collector.lake.tables import Column, Table
    from collector.query.engines.engine import LakeLocation


_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
_COMMENT_LIMIT = 255
"""Characters that Glue accepts in a column's comment."""


def register_in_glue(config: Config, names: Collection[str], database: str) -> Iterator[str]:
    """Create or update the named tables (all where none is named), and report each in a line. Raises QueryRefused."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError as error:
        raise QueryRefused(
            "--register glue requires boto3, the extra glue: install it with pip install boto3"
        ) from error
    location = lake_location(config)
    selected = select(Athena(), location, names)
    # All definitions are built before the first call: a lake that Athena cannot read creates nothing.
    definitions = [_definition(table, location) for table in TABLES if table.name in selected]
    try:
        client = boto3.Session(config.storage.profile, config.storage.region).client("glue")
        yield from _put_tables(client, database, definitions)
    except (BotoCoreError, ClientError) as error:
        raise QueryRefused(f"the Glue catalog rejected the request: {error}") from error


def _put_tables(client: Any, database: str, definitions: Collection[dict[str, Any]]) -> Iterator[str]:
    """Create or update each table, and the database where there is none. `client` is boto3's; its errors pass through.

    Glue has no "create or replace": an update of a table that does not exist fails, and is then a create.
    """
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


def _definition(table: Table, location: LakeLocation) -> dict[str, Any]:
    """A table as Glue's TableInput. Raises QueryRefused where the lake is not on S3."""
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
