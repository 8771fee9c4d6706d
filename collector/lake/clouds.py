"""From a lake's address to a client of its object store. obstore sends the requests, with retries and time limits.

Credentials come from each cloud's usual places. For S3, boto3 finds them: environment, profiles, single sign-on, web
identity, roles of tasks and instances (obstore does not read profiles). For Google and Azure, obstore finds them.

This module is apart from `stores.py` because it imports obstore and boto3, which are an optional extra: a lake in a
folder must work without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from collector.lake.store import LakeError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

    from collector.config.settings import Storage

_CREDENTIALS_TTL = timedelta(minutes=10)
"""How long credentials are used before boto3 is called again. They are valid for longer, or boto3 renews them."""

_MAX_RETRIES = 1000
"""In effect no limit: `storage.retry_seconds` limits the retries."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of `s3://bucket/prefix`. `account`: as in `abfs://container@account.dfs.core.windows.net/prefix`."""

    scheme: str
    bucket: str
    prefix: str
    account: str | None

    @classmethod
    def of(cls, lake: str) -> Address:
        """Parse an address; empty segments of the prefix are dropped."""
        scheme, _, rest = lake.partition("://")
        authority, _, prefix = rest.partition("/")
        bucket, _, host = authority.partition("@")
        return cls(scheme, bucket, "/".join(filter(None, prefix.split("/"))), host.partition(".")[0] or None)


def make_client(lake: str, storage: Storage) -> ObjectStore:
    """The client of the lake's bucket, with paths relative to the lake's prefix. Sends nothing; raises LakeError."""
    address = Address.of(lake)
    try:
        return _MAKERS[address.scheme](address, storage)
    except (BaseError, BotoCoreError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise LakeError(f"cannot use {lake}: {reason}. {_ADVICE[address.scheme]}") from error


def _s3(address: Address, storage: Storage) -> ObjectStore:
    session = boto3.Session(profile_name=storage.profile, region_name=storage.region)
    if session.get_credentials() is None:
        raise ValueError("no credentials were found")
    return S3Store(
        address.bucket,
        prefix=address.prefix or None,
        credential_provider=Boto3CredentialProvider(session, ttl=_CREDENTIALS_TTL),
        client_options=_client_options(storage),
        retry_config=_retry_config(storage),
        config={
            "disable_bulk_delete": True,  # files are deleted one by one, and not every server has the bulk request
            **({"endpoint": storage.endpoint} if storage.endpoint else {}),
            **({"region": storage.region} if storage.region else {}),
        },
    )


def _gcs(address: Address, storage: Storage) -> ObjectStore:
    return GCSStore(
        address.bucket,
        prefix=address.prefix or None,
        client_options=_client_options(storage),
        retry_config=_retry_config(storage),
        config={"base_url": storage.endpoint} if storage.endpoint else {},
    )


def _azure(address: Address, storage: Storage) -> ObjectStore:
    account = storage.account or address.account
    return AzureStore(
        address.bucket,
        prefix=address.prefix or None,
        client_options=_client_options(storage),
        retry_config=_retry_config(storage),
        config={
            **({"account_name": account} if account else {}),
            **({"endpoint": storage.endpoint} if storage.endpoint else {}),
        },
    )


def _client_options(storage: Storage) -> ClientConfig:
    options: ClientConfig = {"timeout": timedelta(seconds=storage.timeout_seconds)}
    if storage.endpoint:
        options["allow_http"] = storage.endpoint.startswith("http://")
    return options


def _retry_config(storage: Storage) -> RetryConfig:
    return {
        "max_retries": _MAX_RETRIES if storage.retry_seconds else 0,
        "retry_timeout": timedelta(seconds=storage.retry_seconds),
    }


_MAKERS = {"s3": _s3, "gs": _gcs, "abfs": _azure}

_ADVICE = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or assign a role to the machine",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    "abfs": "Set AZURE_STORAGE_ACCOUNT_NAME or storage.account, and AZURE_STORAGE_ACCOUNT_KEY if there is no role",
}
