from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyarrow.fs import AzureFileSystem, FileSystem, S3FileSystem

from tests.stores import azurite, seaweed
from tests.stores.bucket_site import BucketSite
from tests.support.builders import NOW
from tests.support.night import make_apps

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.place import Place

PARTITIONS = pa.schema({"workspace": pa.string(), "month": pa.date32()})


def reader(place: Place) -> FileSystem:
    """Arrow's own client of the store, which shares no code with obstore."""
    server = urlsplit(place.storage["endpoint"]).netloc
    if place.name == "seaweedfs":
        keys = {"access_key": seaweed.KEY, "secret_key": seaweed.SECRET}
        return S3FileSystem(**keys, endpoint_override=server, scheme="http", region="us-east-1")
    if place.name == "azurite":
        return AzureFileSystem(
            azurite.ACCOUNT,
            account_key=azurite.KEY,
            blob_storage_authority=server,
            dfs_storage_authority=server,
            blob_storage_scheme="http",
            dfs_storage_scheme="http",
        )
    pytest.skip("Arrow's client of Google's storage uses the JSON API, which the stand-in does not have")


def test_another_client_reads_the_same_rows(tmp_path: Path, bucket: Place) -> None:
    """Arrow's own client of the store finds the tables in the bucket, and DuckDB over them gives the truth."""
    files = reader(bucket)
    workspaces = [{"name": name, "apps": make_apps(2)} for name in ("acme", "globex")]
    site = BucketSite(tmp_path, bucket, *workspaces, units=["day"], start="2026-09-20")
    with site.served():
        assert site.night.run(NOW).exit_code == 0
    table = f"{bucket.lake.partition('://')[2]}/sessions_app_daily"
    partitioning = ds.partitioning(PARTITIONS, flavor="hive")
    rows = ds.dataset(table, format="parquet", filesystem=files, partitioning=partitioning)
    with duckdb.connect() as connection:
        connection.register("landed", rows)
        found = connection.sql("SELECT workspace, 'app', 'day', app_id, NULL, date, sessions FROM landed").fetchall()
    assert set(found) == site.truth()
