"""The query engines: how each declares a table and a view, and writes the few expressions in which engines differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.query.engines.duckdb import DuckDB
from collector.query.engines.hive import Athena, Databricks, Spark, Trino
from collector.query.engines.warehouses import BigQuery, Snowflake

if TYPE_CHECKING:
    from collector.query.engines.engine import Engine

_ENGINES = {kind.name: kind for kind in (DuckDB, Athena, Trino, Spark, Databricks, BigQuery, Snowflake)}


def get_engine(name: str) -> Engine:
    """The engine with that name, one of `ddl --engine`."""
    return _ENGINES[name]()
