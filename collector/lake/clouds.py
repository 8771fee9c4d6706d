"""From a lake's address to a client of its object store: obstore does the talking, with retries and time limits.

Credentials are each cloud's own. For S3 they are boto3's, which knows environment, profiles, single sign-on, web
identity, and the roles of tasks and instances; obstore itself knows no profiles. For Google and Azure, obstore's.
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

_KEPT = timedelta(minutes=10)
"""How long credentials are used before boto3 is asked anew; those it hands out last longer, or are renewed."""

_NO_LIMIT = 1000
"""Of retries: time bounds them."""


@dataclass(frozen=True, slots=True)
class Address:
    """`s3://bucket/prefix`, taken apart. `account`: of `abfs://container@account.dfs.core.windows.net/prefix`."""

    scheme: str
    bucket: str
    prefix: str
    account: str | None

    @classmethod
    def of(cls, lake: str) -> Address:
        """Take it apart."""
        scheme, _, rest = lake.partition("://")
        place, _, prefix = rest.partition("/")
        bucket, _, host = place.partition("@")
        return cls(scheme, bucket, "/".join(filter(None, prefix.split("/"))), host.partition(".")[0] or None)


def make_client(lake: str, storage: Storage) -> ObjectStore:
    """The client of the lake's bucket, as if its prefix were all there is. Raises LakeError; nothing is sent yet."""
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
        credential_provider=Boto3CredentialProvider(session, ttl=_KEPT),
        client_options=_limits(storage),
        retry_config=_retries(storage),
        config={
            "disable_bulk_delete": True,  # one file at a time is all that is ever deleted, and every server can
            **({"endpoint": storage.endpoint} if storage.endpoint else {}),
            **({"region": storage.region} if storage.region else {}),
        },
    )


def _gcs(address: Address, storage: Storage) -> ObjectStore:
    return GCSStore(
        address.bucket,
        prefix=address.prefix or None,
        client_options=_limits(storage),
        retry_config=_retries(storage),
        config={"base_url": storage.endpoint} if storage.endpoint else {},
    )


def _azure(address: Address, storage: Storage) -> ObjectStore:
    account = storage.account or address.account
    return AzureStore(
        address.bucket,
        prefix=address.prefix or None,
        client_options=_limits(storage),
        retry_config=_retries(storage),
        config={
            **({"account_name": account} if account else {}),
            **({"endpoint": storage.endpoint} if storage.endpoint else {}),
        },
    )


def _limits(storage: Storage) -> ClientConfig:
    limits: ClientConfig = {"timeout": timedelta(seconds=storage.timeout_seconds)}
    if storage.endpoint:
        limits["allow_http"] = storage.endpoint.startswith("http://")
    return limits


def _retries(storage: Storage) -> RetryConfig:
    return {
        "max_retries": _NO_LIMIT if storage.retry_seconds else 0,
        "retry_timeout": timedelta(seconds=storage.retry_seconds),
    }


_MAKERS = {"s3": _s3, "gs": _gcs, "abfs": _azure}

_ADVICE = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the machine a role",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    "abfs": "Set AZURE_STORAGE_ACCOUNT_NAME or storage.account, and AZURE_STORAGE_ACCOUNT_KEY where there is no role",
}
