"""What `ddl` does: statements for an engine, or tables in a catalog by its API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.query.engines import engine_called
from collector.query.ground import Undeclarable, absent_tables, ground_of
from collector.query.refused import Refused
from collector.query.statements import chosen, statements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from collector.config.settings import Config
    from collector.lake.store import Store


def declared(engine: str, config: Config, store: Store | None, names: Collection[str]) -> list[str]:
    """The statements. `store`: for DuckDB, which has to know which tables have files. Raises Refused, LakeError."""
    absent = absent_tables(store) if store is not None else frozenset()
    try:
        return list(statements(engine_called(engine), ground_of(config, absent), names))
    except Undeclarable as error:
        raise Refused(str(error)) from error


def registered(engine: str, config: Config, names: Collection[str], database: str) -> Iterator[str]:
    """Put the tables into the Glue catalog; tells what was done, a line each. Raises Refused."""
    if engine != "athena":
        raise Refused("the Glue catalog takes Athena's definitions: write --engine athena --register glue")
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError as error:
        raise Refused(
            "--register glue needs boto3: install it with pip install 'braze-session-collector[glue]'"
        ) from error
    from collector.lake.catalog import TABLES
    from collector.query.glue import register

    ground = ground_of(config)
    try:
        wanted = chosen(engine_called(engine), ground, names)
        client = boto3.Session(config.storage.profile, config.storage.region).client("glue")
        yield from register(client, database, [table for table in TABLES if table.name in wanted], ground)
    except Undeclarable as error:
        raise Refused(str(error)) from error
    except (BotoCoreError, ClientError) as error:
        raise Refused(f"the Glue catalog did not take it: {error}") from error
