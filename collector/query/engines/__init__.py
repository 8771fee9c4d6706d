"""How each engine declares a table and a view, and writes the few expressions in which engines differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.query.engines.athena import Athena
from collector.query.engines.bigquery import BigQuery
from collector.query.engines.duck import DuckDB
from collector.query.engines.snowflake import Snowflake
from collector.query.engines.spark import Databricks, Spark
from collector.query.engines.trino import Trino

if TYPE_CHECKING:
    from collector.query.engines.engine import Engine

_ENGINES = {kind.name: kind for kind in (DuckDB, Athena, Trino, Spark, Databricks, BigQuery, Snowflake)}


def engine_called(name: str) -> Engine:
    """The engine of that name."""
    return _ENGINES[name]()
