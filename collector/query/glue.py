"""The tables in the Glue catalog, by its API: for Athena, EMR, Redshift Spectrum and Trino, without a statement to run.

Definitions are those of `ddl --engine athena`, with partition projection, so there are no partitions to register. Views
are Athena's statements. Needs the extra `glue`, and AWS credentials by their usual places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.query.engines.athena import HIVE_TYPES, Athena

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.lake.catalog import Column, Table
    from collector.query.ground import Ground

_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
_COMMENT_LIMIT = 255
"""What Glue takes of a column's comment."""


def register(client: Any, database: str, tables: Iterable[Table], ground: Ground) -> Iterator[str]:
    """Create or update each table, and the database where there is none; tells what was done, a line each.

    client: boto3's for Glue, whose errors go through. Raises Undeclarable for a lake that is not on S3.
    """
    definitions = [definition_of(table, ground) for table in tables]
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


def definition_of(table: Table, ground: Ground) -> dict[str, Any]:
    """A table as Glue takes it. Raises Undeclarable for a lake that is not on S3."""
    athena = Athena()
    return {
        "Name": table.name,
        "Description": table.comment,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **athena.properties(table, ground)},
        "PartitionKeys": [_column(column) for column in table.partitions],
        "StorageDescriptor": {
            "Columns": [_column(column) for column in table.columns],
            "Location": athena.location(ground, table) + "/",
            **_PARQUET,
        },
    }


def _column(column: Column) -> dict[str, str]:
    return {"Name": column.name, "Type": HIVE_TYPES[column.type], "Comment": column.comment[:_COMMENT_LIMIT]}
